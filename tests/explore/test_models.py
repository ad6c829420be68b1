"""Model folders become an explorer and a page, by one call and by one command."""

import json
import re
import shutil

import pandas as pd
import pytest
from tiny import tiny_world
from trees import tree

from mfkit.__main__ import main
from mfkit.errors import InputError
from mfkit.experiment.run import run
from mfkit.explore import load_latents
from mfkit.explore_command import _folders

TOGETHER = {"message_dropout": 0.5, "held_out": 0.25, "weight": "sum"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two runs on one category, one with messages, and one on another category."""
    home = tmp_path_factory.mktemp("home")
    tree(home / "data", train=8)
    with tiny_world():
        for name, options in (("together", TOGETHER), ("apart", {"graph": "empty"})):
            run(home / "data", home / name, features=home / "features", **options)
    return home


@pytest.fixture(autouse=True)
def tiny(tiny_preset):
    """The backbone of the runs."""


def test_a_model_says_what_its_run_said(home, capsys):
    """Scores and agreement are those of scores.csv: one chain, one measure of what is usual."""
    models = [home / name / "audiojack" for name in ("apart", "together")]
    latents = load_latents(models, home / "data", home / "features")
    assert list(latents.flows) == ["apart", "together"]
    expected = pd.read_csv(home / "together" / "audiojack" / "scores.csv")
    assert latents.scores["together"] == pytest.approx(expected["score"].to_numpy(), abs=1e-5)
    agreement = latents.ranked["together"]["agreement"][1]
    assert agreement == pytest.approx(expected["agreement"].to_numpy(), rel=1e-3, abs=1e-3)
    assert list(load_latents(models[1], home / "data", home / "features").flows) == ["model"]


def test_one_command_writes_a_page(home, capsys):
    models = [str(home / name / "audiojack") for name in ("apart", "together")]
    out = home / "page.html"
    given = ["--data", str(home / "data"), "--features", str(home / "features"), "--out", str(out)]
    said = ["--title", "My part", "--about", "Eight parts."]
    assert main(["explore", "--model", *models, *given, *said]) == 0
    assert "open it in a browser" in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL)[1])
    assert (data["title"], data["about"]) == ("My part", "Eight parts.")
    assert [flow["name"] for flow in data["flows"]] == ["apart", "together"]
    assert str(home) not in text


def test_models_get_the_names_that_they_are_given(home, tmp_path, capsys):
    odd = shutil.copytree(home / "apart", tmp_path / "a=b") / "audiojack"
    models = [f"alone={odd}", f"wheel={home / 'together' / 'audiojack'}"]
    assert list(_folders(models)) == ["alone", "wheel"]
    assert list(load_latents(_folders(models), home / "data", home / "features").flows) == [
        "alone",
        "wheel",
    ]
    assert _folders([str(odd)]) == [str(odd)]
    for wrong in ([models[0], str(odd)], [models[0], models[0]]):
        assert main(["explore", "--model", *wrong, "--data", str(home / "data")]) == 2
        assert "a name of its own" in capsys.readouterr().err


def test_models_that_do_not_belong_together_are_named(home, tmp_path, capsys):
    with pytest.raises(InputError, match=r"model\.json does not exist"):
        load_latents(home / "nowhere", home / "data")
    other = shutil.copytree(home / "apart" / "audiojack", tmp_path / "other")
    described = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps({**described, "category": "usb"}))
    models = [home / "together" / "audiojack", other]
    with pytest.raises(InputError, match="differ in their category and cannot be compared"):
        load_latents(models, home / "data", home / "features")
    assert main(["explore", "--model", str(other), "--data", str(home / "data")]) == 2
    assert "usb" in capsys.readouterr().err
