"""A flow of two scales goes the whole way: run, pictures to verdicts, program, explorer."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import tiny_backbone, tiny_settings
from trees import tree

from mfkit.data import fit_image, read_category
from mfkit.experiment import PRESETS
from mfkit.experiment.run import run
from mfkit.explore import load_latents
from mfkit.features import BACKBONES, SCALES
from mfkit.flow import Pyramid, load_flow
from mfkit.inspection import load_scorer, take
from mfkit.inspection.deploy import deploy

NAME, SAMPLES = "audiojack", 16


@pytest.fixture
def preset(monkeypatch):
    """`improved`, but tiny: 4 x 4 x 4 and 2 x 8 x 8."""
    monkeypatch.setitem(BACKBONES, "two", lambda pretrained: tiny_backbone("two", channels=12))
    monkeypatch.setitem(SCALES, "two", ((4, 1), (2, 2)))
    small, ours = tiny_settings(), PRESETS["improved"]
    training = replace(ours.training, epochs=2, folds=4)
    ours = replace(ours, backbone="two", blocks=2, hidden=small.hidden, training=training)
    monkeypatch.setitem(PRESETS, "two", ours)


@pytest.mark.parametrize("options", [{}, {"graph": "empty"}, {"held_out": 0.25, "folds": 0}])
def test_scores_are_those_of_the_pictures(tmp_path, preset, options):
    tree(tmp_path / "data", train=SAMPLES)
    run(tmp_path / "data", tmp_path / "out", preset="two", **options)
    folder = tmp_path / "out" / NAME
    assert isinstance(load_flow(folder / "model.pt"), Pyramid)
    assert np.load(folder / "maps.npy").shape[2:] == (16, 16)  # twice the finest grid
    kept = pd.read_csv(folder / "scores.csv")
    row = json.loads((tmp_path / "out" / "results.json").read_text())["categories"][NAME]
    talks = "graph" not in options
    assert ("agreement" in kept) == ("combined" in kept) == ("s_combined" in row) == talks
    assert (folder / "held_out.csv").exists() == ("held_out" in options)

    scorer = load_scorer(folder, "cpu")
    samples = read_category(tmp_path / "data", NAME).test
    verdicts = scorer([take(sample, scorer.description) for sample in samples])
    np.testing.assert_allclose(verdicts.scores.samples, kept["score"], atol=1e-3)
    if talks:
        np.testing.assert_allclose(verdicts.agreement.samples, kept["agreement"], rtol=1e-2)
    assert verdicts.p_values.isnan().all() == ("held_out" not in options)

    latents = load_latents(folder, tmp_path / "data", tmp_path / "out" / "features")
    ((name, flow),) = latents.flows.items()
    assert name == "model, 4 x 4 alone" and flow.shape[1:] == (4, 4, 4)


def test_it_becomes_a_program(tmp_path, preset):
    tree(tmp_path / "data", train=SAMPLES)
    run(tmp_path / "data", tmp_path / "out", preset="two", held_out=0.25)
    program, _ = deploy(tmp_path / "out", NAME, data=tmp_path / "data")
    module = torch.export.load(program).module()
    samples = read_category(tmp_path / "data", NAME).test
    scorer = load_scorer(tmp_path / "out" / NAME, "cpu")
    parts = [take(sample, scorer.description) for sample in samples[:2]]
    images = np.stack([[fit_image(view, scorer.backbone.size) for view in p.views] for p in parts])
    with torch.no_grad():
        maps, _, scores, *_ = module(torch.from_numpy(images))
    kept = pd.read_csv(tmp_path / "out" / NAME / "scores.csv")
    assert maps.shape == (2, 5, 16, 16)
    np.testing.assert_allclose(scores, kept["score"][:2], atol=1e-3)
