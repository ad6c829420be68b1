"""The paper preset at full size, with random weights of its backbone: no network needed."""

import numpy as np
import pytest
import torch
from trees import tree

from mfkit.data import DataSet, read_category
from mfkit.experiment import Job, backbone_on, choose_preset, estimate
from mfkit.experiment.run import run
from mfkit.experiment.run_folder import CategoryFolder, FeatureFolder
from mfkit.features import BACKBONES, FeatureStore, ForegroundStore
from mfkit.flow import load_flow


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no object found")
def test_one_training_step_and_one_scoring_pass(tmp_path, monkeypatch):
    """768 px, 304 x 24 x 24, 64 million weights, the foreground of the preset."""
    build = BACKBONES["efficientnet_b5"]

    def untrained(pretrained):
        torch.manual_seed(0)
        return build(False)

    monkeypatch.setitem(BACKBONES, "efficientnet_b5", untrained)
    backbone_on.cache_clear()
    tree(tmp_path / "data", train=1, sound=1, codes={"BX": 1}, size=64)
    results = run(tmp_path / "data", tmp_path / "out", preset="paper", epochs=1, device="cpu")
    backbone_on.cache_clear()
    assert results["config"]["foreground"] == "border"
    assert all(np.isfinite(value) for value in results["mean"].values())
    features = tmp_path / "out" / "features" / "efficientnet_b5" / "audiojack"
    assert FeatureStore(features / "train.f16").shape == (1, 5, 304, 24, 24)
    assert ForegroundStore(features / "train-border.bool").shape == (1, 5, 24, 24)
    flow = load_flow(tmp_path / "out" / "audiojack" / "model.pt")
    assert sum(parameter.numel() for parameter in flow.parameters()) == 64_077_180
    gammas = [value for name, value in flow.named_parameters() if name.endswith("gamma")]
    assert all(gamma.abs().min() > 0 for gamma in gammas)  # the step reached every coupling
    assert flow.config["kernel_sizes"] == [3, 3, 3, 3, 3, 5] and flow.config["hidden"] == 64


def test_what_a_category_takes_is_known_before_it_starts(tmp_path):
    """The published size of an average category: 5,035 images."""
    tree(tmp_path / "data", train=4)
    category = read_category(tmp_path / "data", "audiojack")
    category.train[:] = category.train[:1] * 243
    category.test[:] = category.test[:1] * 764
    home = CategoryFolder(tmp_path), FeatureFolder(tmp_path)
    job = Job(category, DataSet(tmp_path / "data"), choose_preset("paper"), 0, "cpu", *home)
    needs = estimate([job])
    assert needs.features == 2 * 5 * 1007 * 304 * 24 * 24  # 1.76 GB
    order = 6 * 5 * 304  # permutations lie in model and checkpoint, too
    assert needs.results == 28 * 64_077_180 + 12 * order + 4 * 764 * 5 * 576
    assert 3e9 < needs.memory < 5e9
    assert "1.8 GB of features" in str(needs)
