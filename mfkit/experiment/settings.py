"""How a flow is built and trained: sizes and training that belong together, by name."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from mfkit.errors import InputError
from mfkit.experiment.devices import AMP
from mfkit.features import BACKBONES, SCALES
from mfkit.flow import GRAPHS, MESSAGES, Model, MultiFlow, Neighbours, Pyramid, ViewGraph

__all__ = [
    "METHODS",
    "PRESETS",
    "Preset",
    "Training",
    "choose_preset",
    "foreground_kind",
    "new_flow",
]

METHODS = ("flow", "gaussian", "neighbours")
"""What is made of the features: a flow is trained, the other two are fitted in seconds."""


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        epochs: passes over the training samples.
        batch: samples (of V images) a step; the last incomplete batch of an epoch is dropped.
        learning_rate, weight_decay, betas: of AdamW.
        schedule: "constant", or "one_cycle": the rate rises to `learning_rate` over the first fifth
            of all steps, then falls to almost 0 along a cosine; in up to 5 steps it only falls.
        clip_norm: bound of the gradient's norm; None leaves gradients alone.
        message_dropout: probability with which all messages are muted in a step, so that the flow
            learns the density of every view by itself, too: see `mfkit.score.agreement`.
        view_dropout: probability with which each view of a sample is taken for absent in a step, so
            that the flow learns to do without it; one view always stays.
        folds: of cross-fitting, see `mfkit.experiment.train`; 0: blocks learn from all samples,
            behind layers that are fitted to the same ones.
        amp: "bfloat16" lets the couplings' networks compute in it (autocast): less memory, faster
            on GPUs and on processors with AMX, slower on others. Scales, log-determinants and sums
            stay float32. None: all do.
        micro_batch: samples whose gradient is computed together; the gradients of a batch add up to
            the same, and memory holds one micro-batch. None: the whole batch.

    Raises:
        InputError: one of these is impossible.
    """

    epochs: int = 40
    batch: int = 8
    learning_rate: float = 2e-4
    weight_decay: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.95)
    schedule: Literal["constant", "one_cycle"] = "constant"
    clip_norm: float | None = None
    message_dropout: float = 0.0
    view_dropout: float = 0.0
    folds: int = 0
    amp: str | None = None
    micro_batch: int | None = None

    def __post_init__(self):
        rules = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch": (self.batch >= 1, "at least 1"),
            "learning_rate": (self.learning_rate > 0, "positive"),
            "schedule": (self.schedule in ("constant", "one_cycle"), "constant or one_cycle"),
            "clip_norm": (self.clip_norm is None or self.clip_norm > 0, "positive or None"),
            "message_dropout": (0 <= self.message_dropout < 1, "from 0 on and less than 1"),
            "view_dropout": (0 <= self.view_dropout < 1, "from 0 on and less than 1"),
            "folds": (self.folds == 0 or self.folds >= 2, "0 or at least 2"),
            "amp": (self.amp in (None, *AMP), f"{' or '.join(AMP)} or None"),
            "micro_batch": (self.micro_batch is None or self.micro_batch >= 1, "from 1 on or None"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise InputError(f"'{name}' should be {rule}, got {getattr(self, name)!r}")

    def identity(self) -> dict:
        """What must agree for a training to be continued by another one, as plain values.

        `micro_batch` changes no more than the order of sums, and at a constant rate more epochs
        continue a shorter training.
        """
        settings = {**asdict(self), "betas": list(self.betas)}
        del settings["micro_batch"]
        if self.schedule == "constant":
            del settings["epochs"]
        return settings


@dataclass(frozen=True)
class Preset:
    """Sizes and training that belong together.

    Attributes:
        backbone: a name of `mfkit.features.BACKBONES`.
        blocks, hidden: of the flow.
        kernel_size: of all couplings' convolutions, odd; None: 3, ..., 3, 5. With 1 a position sees
            no other, and the flow has a ninth of the weights.
        training: how the flow is trained.
        graph: a name of `mfkit.flow.GRAPHS`.
        message: a name of `mfkit.flow.MESSAGES`, or "none": nothing is learned about other views.
        foreground: which positions count: see `mfkit.features.load_masks`.
        standardize: see `MultiFlow`.
        weight: "mean" or "sum", of the messages; None keeps the graph's own.
        held_out: share of the training samples, every n-th, that training does not see; what they
            score are the units in which likelihood and agreement are joined.
        method: a name of `METHODS`. "gaussian" is a flow of `mfkit.Whiten` alone, "neighbours" is
            `mfkit.Neighbours`; neither has use for message, blocks, hidden and training, nor for a
            graph, unless the Gaussian's views tell each other what is linear.
        whiten, linear: see `MultiFlow`; whitening takes the place of standardizing, and of noise.

    Raises:
        InputError: an unknown graph, message or method.
    """

    backbone: str
    blocks: int
    hidden: int
    training: Training
    graph: str = "wheel"
    message: str = "conv"
    foreground: str = "none"
    standardize: bool = False
    weight: str | None = None
    held_out: float = 0.0
    method: str = "flow"
    whiten: bool = False
    linear: bool = False
    kernel_size: int | None = None

    def __post_init__(self):
        known = {
            "method": METHODS,
            "graph": GRAPHS,
            "message": (*MESSAGES, "none"),
            "weight": (None, "mean", "sum"),
        }
        for name, choices in known.items():
            if (value := getattr(self, name)) not in choices:
                choices = ", ".join(filter(None, choices))
                raise InputError(f"'{name}' should be one of {choices}, got {value!r}")
        for name in ("blocks", "hidden"):
            if getattr(self, name) < 1:
                raise InputError(f"'{name}' should be at least 1, got {getattr(self, name)}")
        if self.kernel_size is not None and self.kernel_size % 2 != 1:
            raise InputError(f"'kernel_size' should be odd, got {self.kernel_size}")
        if not 0 <= self.held_out <= 0.5:
            raise InputError(f"'held_out' should be from 0 to 0.5, got {self.held_out}")


PRESETS = {
    "workshop": Preset(
        backbone="efficientnet_lite0",
        blocks=4,
        hidden=32,
        training=Training(epochs=20, learning_rate=1e-3, clip_norm=1.0),
    ),
    "improved": Preset(
        backbone="efficientnet_lite0_pyramid",
        blocks=4,
        hidden=32,
        kernel_size=3,
        training=Training(
            epochs=4, batch=4, learning_rate=2e-3, schedule="one_cycle", clip_norm=1.0, folds=8
        ),
        message="none",
        whiten=True,
        linear=True,
    ),
    "standardized": Preset(
        backbone="efficientnet_lite0",
        blocks=4,
        hidden=32,
        training=Training(
            epochs=20, batch=4, learning_rate=3e-3, schedule="one_cycle", clip_norm=1.0
        ),
        standardize=True,
    ),
    "together": Preset(
        backbone="efficientnet_lite0",
        blocks=4,
        hidden=32,
        training=Training(
            epochs=10,
            batch=4,
            learning_rate=3e-3,
            schedule="one_cycle",
            clip_norm=1.0,
            message_dropout=0.5,
        ),
        standardize=True,
        linear=True,
        weight="sum",
        held_out=0.25,
    ),
    "paper": Preset(
        backbone="efficientnet_b5", blocks=6, hidden=64, training=Training(), foreground="border"
    ),
}


def choose_preset(name: str, **changes) -> Preset:
    """The preset of that name, with what is given in place of its own.

    Arguments:
        name: of `PRESETS`.
        changes: fields of `Preset` or `Training`; None keeps the preset's own.

    Raises:
        InputError: an unknown name, or an impossible setting.

    Example:
        >>> choose_preset("workshop", graph="ring", epochs=None).graph
        'ring'
    """
    if name not in PRESETS:
        raise InputError(f"'preset' should be one of {', '.join(PRESETS)}, got {name!r}")
    given = {key: value for key, value in changes.items() if value is not None}
    if (backbone := given.get("backbone", PRESETS[name].backbone)) not in BACKBONES:
        raise InputError(f"'backbone' should be one of {', '.join(BACKBONES)}, got {backbone!r}")
    training = {key: given.pop(key) for key in asdict(PRESETS[name].training) if key in given}
    folder = given.get("foreground", "none") not in ("none", "border", "rembg")
    if folder and Path(given["foreground"]).is_dir():
        given["foreground"] = str(Path(given["foreground"]).resolve())
    return replace(PRESETS[name], training=replace(PRESETS[name].training, **training), **given)


def foreground_kind(source: str) -> str:
    """What `--foreground` names, without the place of a folder: what lies in it decides."""
    kind = source.partition(":")[0]
    return source if kind in ("none", "border", "rembg") else "a folder of masks"


def new_flow(settings: Preset, views: int, shape: Sequence[int], seed: int = 0) -> Model:
    """An untrained flow of these settings, or what is fitted in its place.

    Arguments:
        settings: a preset.
        views: V.
        shape: C, H, W of a feature map.
        seed: of its permutations, and of what a shuffled graph draws.
    """
    if settings.method == "neighbours":
        return Neighbours(*shape, views)
    if scales := SCALES.get(settings.backbone):
        sizes = [(channels, *(factor * edge for edge in shape[1:])) for channels, factor in scales]
        flows = [_one_scale(settings, views, size, seed) for size in sizes]
        return Pyramid(flows, [factor for _, factor in scales])
    return _one_scale(settings, views, shape, seed)


def _one_scale(settings: Preset, views: int, shape: Sequence[int], seed: int) -> MultiFlow:
    graph = GRAPHS[settings.graph](views)
    gaussian = settings.method == "gaussian"
    if not settings.linear and (gaussian or settings.message == "none"):
        graph = ViewGraph.empty(views)  # nobody has anything to say
    if gaussian:
        return MultiFlow(*shape, graph, blocks=0, noise="none", whiten=True, linear=settings.linear)
    return MultiFlow(
        *shape,
        graph=replace(graph, weight=settings.weight or graph.weight),
        blocks=settings.blocks,
        hidden=settings.hidden,
        kernel_sizes=settings.kernel_size and [settings.kernel_size] * settings.blocks,
        message=settings.message,
        seed=seed,
        noise="none" if settings.whiten else "simplenet",
        standardize=settings.standardize and not settings.whiten,
        whiten=settings.whiten,
        linear=settings.linear,
    )
