"""Do the views belong together? What messages say beyond every view by itself.

Plain defects show in single views, and the likelihood finds them. A set of views that are sound one
by one but do not fit together shows in none; what gives it away is the difference between the
density of all views and the product of the densities of each:

    log p(x_0, ..., x_V-1) - sum over v of log p_v(x_v)

One flow gives both terms if it was trained with message dropout: with its messages muted it is a
proper flow of single views.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from mfkit.flow import MultiFlow
from mfkit.score.scores import image_scores, nll_map

__all__ = ["Agreement", "agreement_map", "combined"]


@torch.no_grad()
def agreement_map(flow: MultiFlow, x: Tensor, present: Tensor | None = None) -> Tensor:
    """Score with messages minus score with all of them muted: high where views disagree.

    Negative: the other views expected what is seen here. Positive: they expected something else.

    Arguments:
        flow: in evaluation mode; trained with message dropout, or it does not know what silence is.
        x: (B, V, C, H, W).
        present: (B, V) of bool; None: all views are.

    Returns:
        (B, V, H, W) in nats per channel; 0 in absent views, and everywhere without messages.

    Raises:
        ValueError: the flow is in training mode, in which it would draw other noise every time.
    """
    if flow.training:
        raise ValueError("'flow' should be in evaluation mode: call flow.eval()")
    together = nll_map(*flow(x, present=present))
    return together - nll_map(*flow(x, present=present, muted=flow.graph.possible_edges))


class Agreement(NamedTuple):
    """The difference between together and alone, from positions to objects.

    A misfit concerns a view as a whole, so views and samples take the mean, not the maximum.

    Attributes:
        maps: (B, V, H, W).
        images: (B, V), the mean over the positions that count.
        samples: (B,), the mean over the views that are present.

    All in nats per channel, high where views disagree; NaN where a view is absent.
    """

    maps: Tensor
    images: Tensor
    samples: Tensor

    @classmethod
    def of(
        cls, maps: Tensor, foreground: Tensor | None = None, present: Tensor | None = None
    ) -> Self:
        """Images and samples from the maps of `agreement_map`.

        Arguments:
            maps: (B, V, H, W) in nats per channel.
            foreground: (B, V, H, W) of bool, the positions that count; None: all do.
            present: (B, V) of bool; None: all views are.
        """
        if present is not None:
            maps = maps.masked_fill(~present[..., None, None], torch.nan)
        images = image_scores(maps, foreground, rule="mean")
        return cls(maps, images, images.nanmean(1))


def combined(scores: Tensor, unseen: Tensor) -> Tensor:
    """One score of a sample from its likelihood and its agreement: the more unusual of the two.

    Each is measured in units of sound samples that training has not seen: how many of their
    standard deviations it lies above their mean. The rule is fixed beforehand and sees no label.

    Arguments:
        scores: (N, K), of each sample its score by likelihood and, if there is one, by agreement.
        unseen: (M, K), the same of at least two sound samples that were held out of training.

    Returns:
        (N,) in standard deviations.

    Raises:
        ValueError: fewer than two held-out samples, or all of them score the same.

    Example:
        >>> unseen = torch.tensor([[0.0, 10.0], [2.0, 12.0], [1.0, 11.0]])
        >>> combined(torch.tensor([[1.0, 14.0], [0.0, 11.0]]), unseen)
        tensor([3., 0.])
    """
    if len(unseen) < 2:
        raise ValueError(f"'unseen' should hold at least two samples, got {len(unseen)}")
    spread = unseen.std(0)
    if not (spread > 0).all():
        raise ValueError("'unseen' should not score the same everywhere; hold out more samples")
    return ((scores - unseen.mean(0)) / spread).amax(1)
