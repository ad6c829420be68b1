"""The models that come with the course still give their scores, and one command makes them."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from trees import tree

from mfkit.data import read_category
from mfkit.experiment import Description
from mfkit.inspection import load_scorer, score_table

DATA = Path(__file__).resolve().parents[2] / "data"
MODELS = sorted(path.parent for path in (DATA / "models").glob("*/model.pt"))
NEAR = 2e-3  # nats per channel: features are rounded to float16, and processors round differently


@pytest.fixture
def make():
    """data/models/make.py as a module."""
    spec = importlib.util.spec_from_file_location("make_models", DATA / "models" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("home", MODELS, ids=lambda home: home.name)
def test_a_shipped_model_still_gives_its_scores(home):
    """Six parts of each: the first sound ones and the last defective ones."""
    known = pd.read_csv(home / "scores.csv").set_index("sample")
    test = read_category(DATA / "mini-iad", home.name).test
    assert known.index.tolist() == [sample.name for sample in test]
    found = score_table(load_scorer(home, "cpu"), test[:3] + test[-3:]).set_index("sample")
    for column in ("score", "agreement"):
        np.testing.assert_allclose(
            found[column].astype(float), known.loc[found.index, column].astype(float), atol=NEAR
        )
    assert Description.read(home / "model.json").held_out is not None
    assert "### Threshold" in (home / "README.md").read_text()


def test_shipped_models_are_small():
    files = [path for path in (DATA / "models").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12e6


def test_one_command_makes_them(make, tmp_path, tiny_preset, monkeypatch):
    tree(tmp_path / "data", train=8)
    recipe = {"preset": "workshop", "message_dropout": 0.5, "held_out": 0.25}
    monkeypatch.setattr(make, "RECIPE", recipe)
    monkeypatch.setattr(make, "FEW", 50)
    places = {name: str(tmp_path / name) for name in ("data", "home", "runs", "features")}
    command = [part for name, place in places.items() for part in (f"--{name}", place)]
    make.main(command)
    home = tmp_path / "home" / "audiojack"
    files = sorted(path.name for path in home.iterdir())
    assert files == ["README.md", "model.json", "model.pt", "scores.csv"]
    state = torch.load(home / "model.pt", weights_only=True)["state"]
    numbers = [value for value in state.values() if value.is_floating_point()]
    large = {value.numel() > 50: value.dtype for value in numbers}
    assert large == {True: torch.float16, False: torch.float32}
    scorer, test = load_scorer(home), read_category(tmp_path / "data", "audiojack").test
    table = score_table(scorer, test)
    known = pd.read_csv(home / "scores.csv")
    np.testing.assert_allclose(table["score"], known["score"], atol=1e-6)
    rounded = pd.read_csv(tmp_path / "runs" / "audiojack" / "audiojack" / "scores.csv")
    np.testing.assert_allclose(table["score"], rounded["score"], atol=0.05)
    held = Description.read(home / "model.json").held_out
    again = score_table(scorer, [s for s in scorer_samples(tmp_path) if s.name in held.samples])
    np.testing.assert_allclose(again["score"].astype(float), held.both()[:, 0], atol=1e-6)


def scorer_samples(home):
    return read_category(home / "data", "audiojack").train
