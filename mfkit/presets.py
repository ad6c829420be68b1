"""Sizes and training that belong together, by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mfkit.devices import AMP
from mfkit.files import InputError
from mfkit.flow import MultiFlow
from mfkit.messages import MESSAGES
from mfkit.train import Training
from mfkit.views import ViewGraph

__all__ = ["GRAPHS", "PRESETS", "Preset", "choose_preset", "new_flow"]

GRAPHS = {
    "wheel": lambda views: ViewGraph.wheel(views - 1),
    "shuffled": lambda views: ViewGraph.shuffled(views - 1),
    "ring": lambda views: ViewGraph.ring(views - 1),
    "hub": lambda views: ViewGraph.hub(views - 1),
    "chain": ViewGraph.chain,
    "cycle": ViewGraph.cycle,
    "complete": ViewGraph.complete,
    "empty": ViewGraph.empty,
}


@dataclass(frozen=True)
class Preset:
    """Sizes and training that belong together.

    Attributes:
        backbone: a name of `mfkit.features.BACKBONES`.
        blocks, hidden: of the flow.
        training: how the flow is trained.
        graph: a name of `GRAPHS`.
        message: a name of `mfkit.messages.MESSAGES`.
        foreground: which positions count: see `mfkit.masks.load_masks`.
        standardize: see `MultiFlow`.
    """

    backbone: str
    blocks: int
    hidden: int
    training: Training
    graph: str = "wheel"
    message: str = "conv"
    foreground: str = "none"
    standardize: bool = False


PRESETS = {
    "workshop": Preset(
        backbone="efficientnet_lite0",
        blocks=4,
        hidden=32,
        training=Training(epochs=20, learning_rate=1e-3, clip_norm=1.0),
    ),
    "improved": Preset(
        backbone="efficientnet_lite0",
        blocks=4,
        hidden=32,
        training=Training(
            epochs=20, batch=4, learning_rate=3e-3, schedule="one_cycle", clip_norm=1.0
        ),
        standardize=True,
    ),
    "paper": Preset(
        backbone="efficientnet_b5", blocks=6, hidden=64, training=Training(), foreground="border"
    ),
}


def choose_preset(
    name: str,
    *,
    epochs: int | None = None,
    graph: str | None = None,
    message: str | None = None,
    foreground: str | None = None,
    view_dropout: float | None = None,
    amp: str | None = None,
    micro_batch: int | None = None,
) -> Preset:
    """The preset of that name, with what is given in place of its own.

    Arguments:
        name: of `PRESETS`.
        epochs, view_dropout, amp, micro_batch: see `mfkit.train.Training`.
        graph, message, foreground: see `Preset`.

    Raises:
        InputError: an unknown name.

    Example:
        >>> choose_preset("workshop", graph="ring").graph
        'ring'
    """
    choices = (
        ("preset", name, PRESETS),
        ("graph", graph, GRAPHS),
        ("message", message, MESSAGES),
        ("amp", amp, AMP),
    )
    for option, value, known in choices:
        if value is not None and value not in known:
            raise InputError(f"--{option} should be one of {', '.join(known)}, got {value!r}")
    folder = foreground not in (None, "none", "border", "rembg") and Path(foreground)
    if folder and folder.is_dir():
        foreground = str(folder.resolve())
    training = {
        "epochs": epochs,
        "view_dropout": view_dropout,
        "amp": amp,
        "micro_batch": micro_batch,
    }
    training = replace(PRESETS[name].training, **_given(training))
    others = {"graph": graph, "message": message, "foreground": foreground}
    return replace(PRESETS[name], training=training, **_given(others))


def new_flow(settings: Preset, views: int, shape: Sequence[int], seed: int = 0) -> MultiFlow:
    """An untrained flow of these settings.

    Arguments:
        settings: a preset.
        views: V.
        shape: C, H, W of a feature map.
        seed: of its permutations, and of what a shuffled graph draws.
    """
    return MultiFlow(
        *shape,
        graph=GRAPHS[settings.graph](views),
        blocks=settings.blocks,
        hidden=settings.hidden,
        message=settings.message,
        seed=seed,
        standardize=settings.standardize,
    )


def _given(options: dict) -> dict:
    return {name: value for name, value in options.items() if value is not None}
