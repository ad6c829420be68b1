"""Questions to a trained flow: what do the cameras tell each other?"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mfkit.flow import MultiFlow
from mfkit.score.metrics import auroc
from mfkit.score.scores import nll_map

__all__ = ["mean_scores", "mute", "swap_auroc", "swap_views", "who_helps"]


def swap_views(x: Tensor, views: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
    """Give each sample some views of another sample.

    Every single view stays as likely as it was; only the set is no whole any more. How well a flow
    tells swapped from whole samples is what its messages are worth. All samples share one draw of
    how far the donor is, and the views of a sample have one donor.

    Arguments:
        x: (B, V, C, H, W), at least two samples.
        views: the views to exchange, out of 0 .. V - 1.
        generator: draws how far the donor is from the receiver; None takes PyTorch's global one.

    Returns:
        (B, V, C, H, W); no sample is its own donor.

    Raises:
        ValueError: fewer than two samples, or no such view.

    Example:
        >>> x = torch.arange(2.0).reshape(2, 1, 1, 1, 1).expand(2, 3, 1, 1, 1)
        >>> swap_views(x, [1])[:, :, 0, 0, 0]
        tensor([[0., 1., 0.],
                [1., 0., 1.]])
    """
    views = list(views)
    if len(x) < 2:
        raise ValueError(f"'x' should hold at least two samples, got {len(x)}")
    if not set(views) <= set(range(x.shape[1])):
        raise ValueError(f"'views' should lie in 0 .. {x.shape[1] - 1}, got {views}")
    shift = int(torch.randint(1, len(x), (), generator=generator))
    swapped = x.clone()
    swapped[:, views] = x.roll(shift, 0)[:, views]
    return swapped


@torch.no_grad()
def swap_auroc(
    flow: MultiFlow,
    x: Tensor,
    views: Sequence[int],
    generator: torch.Generator | None = None,
    against: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
) -> float:
    """How well a flow tells samples with swapped views from whole ones, in one number.

    The score of a sample is the mean of its score maps. For a separated flow a swap only passes the
    scores of single views around: their set and the mean score stay as they were. Its AUROC is 0.5
    up to the sampling error if the scores of a sample's views are independent. If they rise and
    fall together, swapped samples spread less, and the AUROC drifts a little from 0.5.

    Arguments:
        flow: in evaluation mode.
        x: (B, V, C, H, W), features of sound samples.
        views, generator: see `swap_views`.
        against: a flow whose score is taken off, a separated one for example, or the same one with
            its messages muted: what is unusual about single views cancels, and their disagreement
            is left.

    Returns:
        AUROC between 0 and 1.
    """
    groups = (x, swap_views(x, views, generator))
    scores = [mean_scores(flow, group) for group in groups]
    if against is not None:
        scores = [a - mean_scores(against, b) for a, b in zip(scores, groups, strict=True)]
    return auroc([False] * len(x) + [True] * len(x), torch.cat(scores))


@torch.no_grad()
def mute(
    flow: MultiFlow,
    x: Tensor,
    edges: Sequence[tuple[int, int]],
    present: Tensor | None = None,
) -> Tensor:
    """By how much the negative log-likelihood of each view rises when some messages fall silent.

    A mean runs over the messages that are left. Positive: they helped.

    Arguments:
        flow: in evaluation mode.
        x: (B, V, C, H, W).
        edges: (sender, receiver), of the flow's graph.
        present: (B, V) of bool; None: all views are.

    Returns:
        (B, V) in nats.

    Raises:
        ValueError: an edge that the graph does not have.
    """
    return _rise(flow, x, list(edges), present, _score_map(flow, x, present=present))


@torch.no_grad()
def who_helps(flow: MultiFlow, x: Tensor, present: Tensor | None = None) -> Tensor:
    """What each message is worth to its receiver: one edge is muted at a time.

    Arguments:
        flow: in evaluation mode.
        x: (B, V, C, H, W).
        present: (B, V) of bool; None: all views are.

    Returns:
        (B, V, V) in nats: row i, column j is the rise of view i's negative log-likelihood without
        the message of view j; 0 where the graph has no edge. What changes in further views, which
        hear i in later blocks, `mute` tells.
    """
    worth = x.new_zeros(len(x), flow.graph.views, flow.graph.views)
    before = _score_map(flow, x, present=present)
    for sender, receiver in flow.graph.possible_edges:
        rise = _rise(flow, x, [(sender, receiver)], present, before)
        worth[:, receiver, sender] = rise[:, receiver]
    return worth


@torch.no_grad()
def mean_scores(flow: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """Mean of the score maps of each sample.

    Arguments:
        flow: in evaluation mode.
        x: (B, V, C, H, W), any number of samples: eight are computed at a time.

    Returns:
        (B,) in nats per channel.
    """
    return torch.cat([_score_map(flow, part).mean((1, 2, 3)) for part in x.split(8)])


def _score_map(flow: Callable, x: Tensor, **options) -> Tensor:
    """(B, V, H, W) in nats per channel; a flow in training mode would draw noise every time."""
    if getattr(flow, "training", False):
        raise ValueError("'flow' should be in evaluation mode: call flow.eval()")
    return nll_map(*flow(x, **options))


def _rise(
    flow: MultiFlow,
    x: Tensor,
    muted: Sequence[tuple[int, int]],
    present: Tensor | None,
    before: Tensor,
) -> Tensor:
    """(B, V) in nats: see `mute`; `before` is the score map (B, V, H, W) with all messages."""
    rise = _score_map(flow, x, present=present, muted=muted) - before
    return x.shape[2] * rise.sum((2, 3))
