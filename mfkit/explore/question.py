"""What is asked of a flow, and what comes back from its latents."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Question", "Return"]


@dataclass(frozen=True)
class Question:
    """One sample, perhaps changed, shown to one model.

    Attributes:
        model: a name of `Latents.flows`.
        sample: its index.
        swapped: (view, index of another sample): this view is taken from there.
        absent: views that are left out.
        muted: edges (sender, receiver) that carry no message; those that the model's graph lacks
            are silent anyway.
    """

    model: str
    sample: int
    swapped: tuple[tuple[int, int], ...] = ()
    absent: tuple[int, ...] = ()
    muted: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Return:
    """Features that came back from latents.

    Attributes:
        x: features (V, C, H, W).
        error: largest difference to the features of the sample; 0 if the way back leads there.
        score: what the model says of x: the sample's score by the maximum rule, nats per channel.
        mean: the mean of its score map, nats per channel.
    """

    x: Tensor
    error: float
    score: float
    mean: float
