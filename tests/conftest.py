"""What several tests need."""

import matplotlib
import pytest
import torch
from tiny import tiny_backbone, tiny_settings

from mfkit.experiment import PRESETS, Preset
from mfkit.features import BACKBONES, Backbone

matplotlib.use("agg")
torch.set_num_threads(1)  # small tensors: threads would only wait for each other


@pytest.fixture
def backbone() -> Backbone:
    return tiny_backbone()


@pytest.fixture
def tiny_preset(monkeypatch) -> Preset:
    """The workshop preset, shrunk to what a test can wait for."""
    preset = tiny_settings()
    monkeypatch.setitem(BACKBONES, "tiny", lambda pretrained: tiny_backbone())
    monkeypatch.setitem(PRESETS, "workshop", preset)
    return preset
