"""What several tests need."""

import matplotlib
import pytest
import torch
from torch import nn

from mfkit.features import Backbone

matplotlib.use("agg")
torch.set_num_threads(1)  # small tensors: threads would only wait for each other


def tiny_backbone(name: str = "tiny") -> Backbone:
    """8 features on 4 x 4 positions of a 16 px image: random, but the same every time."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(3, 8, 4, stride=4)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 7
    return Backbone(name, layer, 16, (0.3, 0.3, 0.3), (0.2, 0.2, 0.2))


@pytest.fixture
def backbone() -> Backbone:
    return tiny_backbone()
