"""Published figures stand beside a run with their rules, and models leave with a card."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import awake
from trees import tree

from mfkit import course
from mfkit.__main__ import main
from mfkit.data import FLIPS
from mfkit.errors import InputError
from mfkit.experiment import (
    PUBLISHED,
    add_result,
    against_published,
    read_results,
    render,
)
from mfkit.experiment.run import run
from mfkit.experiment.run_folder import RunFolder
from mfkit.features import FeatureStore, ForegroundStore
from mfkit.flow import MultiFlow, ViewGraph, load_flow
from mfkit.inspection import Scorer, export_scorer


@pytest.fixture
def out(tmp_path, tiny_preset):
    """A run over one category."""
    tree(tmp_path / "data")
    run(tmp_path / "data", tmp_path / "out")
    return tmp_path / "out"


def test_every_figure_has_its_rule_and_source():
    names = [entry.method for entry in PUBLISHED]
    assert len(set(names)) == len(names) == 9
    for entry in PUBLISHED:
        assert entry.source and entry.models in ("one a category", "one for all")
        assert (entry.rule == "-") == (entry.s_auroc is None)
        for value in (entry.s_auroc, entry.i_auroc, entry.p_auroc, entry.p_aupro):
            assert value is None or 60 < value < 100


def test_a_run_stands_beside_them_by_either_rule(out):
    frame = against_published(out)
    own = frame[frame.source == "this run"]
    row = read_results(out)["categories"]["audiojack"]
    assert own.index.tolist() == ["audiojack", *["mean of 1, not Real-IAD's 30"] * 2]
    assert own["rule"].tolist() == ["max", "max", "mean"]
    assert own["S-AUROC"].tolist() == pytest.approx(
        [100 * row["s_auroc"], 100 * row["s_auroc"], 100 * row["s_auroc_mean"]]
    )
    assert frame.loc["Multi-Flow (2025)", "S-AUROC"] == 95.85


def test_only_a_mean_of_the_thirty_is_called_so(out):
    results = read_results(out)
    row = results["categories"].pop("audiojack")
    for name in FLIPS:
        add_result(RunFolder(out), results["config"], name, row)
    assert "mean of the 30" in against_published(out).index
    (out / "results.json").write_text(json.dumps({**results, "categories": {}}))
    with pytest.raises(InputError, match="no category is finished yet"):
        against_published(out)


def test_the_table_as_text_markdown_and_latex(out, capsys):
    command = ["table", str(out), "--published"]
    printed = {}
    for form in ("text", "markdown", "latex"):
        assert main([*command, "--format", form]) == 0
        printed[form] = capsys.readouterr().out
        assert "Multi-Flow (2025)" in printed[form] and "95.85" in printed[form]
    lines = printed["markdown"].splitlines()
    assert {line.count("|") for line in lines} == {9}
    assert r"\begin{tabular}{lrrrrlll}" in printed["latex"]
    assert main(["table", str(out), "--format", "markdown"]) == 0
    assert "| audiojack | out |" in capsys.readouterr().out


def test_an_unknown_format_is_named(out, capsys):
    capsys.readouterr()
    assert main(["table", str(out), "--format", "html"]) == 2
    said = capsys.readouterr().err
    assert said == "error: 'form' should be one of text, markdown, latex, got 'html'\n"


def test_latex_escapes_what_it_must(out):
    frame = against_published(out).rename(index={"audiojack": "screw_block & 100 %"})
    assert r"screw\_block \& 100 \%" in render(frame, "latex")


def small_flow(**options) -> MultiFlow:
    torch.manual_seed(0)
    return awake(MultiFlow(8, 4, 4, **{"blocks": 2, "hidden": 4, **options})).eval()


@pytest.mark.parametrize("message", ["conv", "cross_attention", "self_attention"])
@pytest.mark.parametrize("graph", [ViewGraph.wheel(), ViewGraph.empty(5)], ids=["wheel", "empty"])
def test_the_exported_program_is_the_flow(message, graph, tmp_path):
    flow = small_flow(message=message, graph=graph)
    program = torch.export.load(export_scorer(flow, tmp_path / "score.pt2")).module()
    for samples in (1, 5):
        x = torch.randn(samples, 5, 8, 4, 4)
        with torch.no_grad():
            for ours, theirs in zip(Scorer(flow)(x), program(x), strict=True):
                torch.testing.assert_close(ours, theirs)


def test_a_program_that_differs_is_not_written(tmp_path, monkeypatch):
    """As if the export had gone wrong: it is handed another flow."""
    export, other = torch.export.export, Scorer(small_flow(seed=1))
    monkeypatch.setattr(torch.export, "export", lambda _, *args, **kw: export(other, *args, **kw))
    with pytest.raises(InputError, match=r"differs from the flow by .* use model.pt"):
        export_scorer(small_flow(), tmp_path / "score.pt2")
    assert not (tmp_path / "score.pt2").exists()


def test_lesson_7_works_on_real_iad_only_where_it_is(tmp_path, monkeypatch):
    file = tree(tmp_path / "real")
    monkeypatch.delenv("REALIAD_ROOT", raising=False)
    assert course.find_realiad() == (course.find_data(), False)
    monkeypatch.setenv("REALIAD_ROOT", str(tmp_path / "real"))
    assert course.find_realiad() == (tmp_path / "real", True)
    file.rename(file.with_stem("my_part"))
    with pytest.raises(InputError, match="holds none of Real-IAD's 30 categories"):
        course.find_realiad()
    monkeypatch.setenv("REALIAD_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="which is no folder"):
        course.find_realiad()


def test_a_program_that_is_told_the_foreground_gives_the_scores_of_its_run(tmp_path, tiny_preset):
    def draw(path, camera, seed, defect):
        pixels = np.full((16, 16, 3), 200, np.uint8)
        pixels[4:12, 2:10] = (30 + 7 * seed, 60, 90)
        if defect:
            pixels[6:8, 4:6] = 255
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    tree(tmp_path / "data", draw=draw)
    out = tmp_path / "out"
    run(tmp_path / "data", out, foreground="border")
    command = ["deploy", "--run", str(out), "--category", "audiojack", "--takes", "features"]
    assert main(command) == 0
    features = out / "features" / "tiny" / "audiojack"
    x, shows = (
        store(features / name)
        for store, name in ((FeatureStore, "test.f16"), (ForegroundStore, "test-border.bool"))
    )
    program = torch.export.load(out / "audiojack" / "score_features.pt2").module()
    with torch.no_grad():
        _, images, samples = program(x[:], shows[:])
    assert not shows[:].all()
    scores = pd.read_csv(out / "audiojack" / "scores.csv")
    np.testing.assert_allclose(samples, scores["score"], atol=1e-4)
    np.testing.assert_allclose(images, scores.filter(regex="^C"), atol=1e-4)
    assert "module()(x, foreground)" in (out / "audiojack" / "README.md").read_text()


def test_deploy_writes_a_program_that_needs_no_mfkit_and_a_card(out, capsys):
    capsys.readouterr()
    command = ["deploy", "--run", str(out), "--category", "audiojack", "--takes", "features"]
    assert main(command) == 0
    program, card = capsys.readouterr().out.split()
    text = open(card, encoding="utf-8").read()
    assert "# Multi-Flow for audiojack" in text and "$" not in text
    assert f"{100 * read_results(out)['mean']['s_auroc']:.1f}" in text
    x = torch.randn(2, *load_flow(out / "audiojack" / "model.pt").shape)
    torch.save(x, out / "x.pt")
    code = (
        "import sys; sys.modules.update(mfkit=None, FrEIA=None); import torch; "
        f"x = torch.load({str(out / 'x.pt')!r}); "
        f"torch.save(torch.export.load({program!r}).module()(x)[2], {str(out / 'y.pt')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with torch.no_grad():
        expected = Scorer(load_flow(out / "audiojack" / "model.pt"))(x)[2]
    torch.testing.assert_close(torch.load(out / "y.pt"), expected)
    assert main(["deploy", "--run", str(out), "--category", "mint"]) == 2
    assert "no finished category 'mint'; it holds audiojack" in capsys.readouterr().err
