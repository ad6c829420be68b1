"""What several tests need."""

import matplotlib
import pytest
import torch
from torch import nn

from mfkit.features import BACKBONES, Backbone
from mfkit.run import PRESETS, Preset
from mfkit.train import Training

matplotlib.use("agg")
torch.set_num_threads(1)  # small tensors: threads would only wait for each other


def tiny_backbone(name: str = "tiny") -> Backbone:
    """8 features on 4 x 4 positions of a 16 px image: random, but the same every time."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(3, 8, 4, stride=4)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 7
    return Backbone(name, layer, 16, (0.3, 0.3, 0.3), (0.2, 0.2, 0.2))


def tiny_settings() -> Preset:
    """A flow and a training that take a second."""
    training = Training(epochs=2, batch=4, learning_rate=1e-2, clip_norm=1.0)
    return Preset(backbone="tiny", blocks=2, hidden=4, training=training)


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
