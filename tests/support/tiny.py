"""A backbone, settings and flows that a test can wait for."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from mfkit.experiment import PRESETS, Preset, Training
from mfkit.features import BACKBONES, Backbone
from mfkit.flow import MultiFlow


def tiny_backbone(name: str = "tiny", channels: int = 8) -> Backbone:
    """Some features on 4 x 4 positions of a 16 px image: random, but the same every time."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(3, channels, 4, stride=4)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 7
    return Backbone(name, layer, 16, (0.3, 0.3, 0.3), (0.2, 0.2, 0.2))


def tiny_settings() -> Preset:
    """A flow and a training that take a second."""
    training = Training(epochs=2, batch=4, learning_rate=1e-2, clip_norm=1.0)
    return Preset(backbone="tiny", blocks=2, hidden=4, training=training)


def plain_overview(*arguments, **options) -> Figure:
    """In place of `plot.overview`, whose many small pictures take longer than a tiny training."""
    return Figure(figsize=(1, 1))


@contextmanager
def tiny_world() -> Iterator[pytest.MonkeyPatch]:
    """The preset `workshop` is tiny, and may be patched further."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", lambda pretrained: tiny_backbone())
        patch.setitem(PRESETS, "workshop", tiny_settings())
        yield patch


@contextmanager
def tiny_study() -> Iterator[pytest.MonkeyPatch]:
    """The same, without pictures that take longer than the training."""
    with tiny_world() as patch:
        patch.setattr("mfkit.plot.overview", plain_overview)
        patch.setattr("mfkit.study.worst.MOST", 2)
        yield patch


def awake(flow: MultiFlow, std: float = 1.0, generator: torch.Generator | None = None) -> MultiFlow:
    """The flow with gammas that are not 0, so that its couplings do something."""
    for name, parameter in flow.named_parameters():
        if name.endswith("gamma"):
            nn.init.normal_(parameter, std=std, generator=generator)
    return flow
