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
from torch.nn.functional import avg_pool2d

from mfkit.flow import MultiFlow
from mfkit.score.scores import image_scores, nll_map, sample_scores

__all__ = ["Agreement", "Usual", "agreement_map", "combined"]


@torch.no_grad()
def agreement_map(
    flow: MultiFlow, x: Tensor, present: Tensor | None = None, together: Tensor | None = None
) -> Tensor:
    """Score with messages minus score with all of them muted: high where views disagree.

    Negative: the other views expected what is seen here. Positive: they expected something else.

    Arguments:
        flow: in evaluation mode; trained with message dropout, or it does not know what silence is.
        x: (B, V, C, H, W).
        present: (B, V) of bool; None: all views are.
        together: the score with messages (B, V, H, W), if it is known already.

    Returns:
        (B, V, H, W) in nats per channel; 0 in absent views, and everywhere without messages.

    Raises:
        ValueError: the flow is in training mode, in which it would draw other noise every time.
    """
    if flow.training:
        raise ValueError("'flow' should be in evaluation mode: call flow.eval()")
    if together is None:
        together = nll_map(*flow(x, present=present))
    return together - nll_map(*flow(x, present=present, muted=flow.graph.possible_edges))


class Usual(NamedTuple):
    """How well the views of sound samples agree at each position, to measure others with.

    The trained flow's own training samples are enough: a place where their agreement varies much
    (the light, a serial number) asks for more before it is called unusual.

    Attributes:
        mean, spread: (V, H, W), of agreement averaged over 3 x 3 positions, in nats per channel.
    """

    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, maps: Tensor, present: Tensor | None = None) -> Self:
        """From the maps of `agreement_map`, (N, V, H, W), and who was present, (N, V).

        Half the median spread is added (as variances add), so that a place at which nearly nothing
        has varied in a few samples does not alarm for nothing.

        Raises:
            ValueError: fewer than two samples show a view, or no message ever made a difference.
        """
        there = torch.ones(maps.shape[:2]) if present is None else present.to(maps)
        count = there.sum(0)[:, None, None]
        if not (count >= 2).all():
            raise ValueError(f"every view should be in at least 2 samples, got {count.ravel()}")
        weights = there[..., None, None]
        maps = _around(maps)
        mean = (weights * maps).sum(0) / count
        spread = ((weights * (maps - mean).square()).sum(0) / (count - 1)).sqrt()
        if not spread.any():
            raise ValueError("'maps' should differ between samples; has the flow any messages?")
        return cls(mean, (spread.square() + (spread[spread > 0].median() / 2).square()).sqrt())

    def units(self, maps: Tensor) -> Tensor:
        """Maps of `agreement_map` (B, V, H, W), averaged, in spreads above the mean."""
        return (_around(maps) - self.mean.to(maps)) / self.spread.to(maps)


class Agreement(NamedTuple):
    """The difference between together and alone, from positions to objects.

    Attributes:
        maps: (B, V, H, W).
        images: (B, V).
        samples: (B,).

    All high where views disagree; NaN where a view is absent.
    """

    maps: Tensor
    images: Tensor
    samples: Tensor

    @classmethod
    def of(
        cls,
        maps: Tensor,
        foreground: Tensor | None = None,
        present: Tensor | None = None,
        usual: Usual | None = None,
    ) -> Self:
        """Images and samples from the maps of `agreement_map`.

        A piece that does not fit is a small part of a view, and a view of another object is all of
        it. In units of what is usual there, both have places that stand out, so the score is a
        maximum like that of likelihood. Without these units only the mean is of use, and only for
        whole views.

        Arguments:
            maps: (B, V, H, W) in nats per channel.
            foreground: (B, V, H, W) of bool, the positions that count; None: all do.
            present: (B, V) of bool; None: all views are.
            usual: of the training samples. Then maps are averaged over 3 x 3 positions and in
                spreads above the mean of sound samples, and images and samples take the maximum;
                None: maps stay in nats per channel, and images and samples take the mean.
        """
        if present is None:
            present = torch.ones(maps.shape[:2], dtype=torch.bool, device=maps.device)
        rule = "mean"
        if usual is not None:
            maps, rule = usual.units(maps), "max"
        images = image_scores(maps, foreground, rule)
        samples = sample_scores(images, rule, present)
        maps = maps.masked_fill(~present[..., None, None], torch.nan)
        return cls(maps, images.masked_fill(~present, torch.nan), samples)


def _around(maps: Tensor) -> Tensor:
    """The average of each position and its neighbours: what belongs to a piece, less the noise."""
    return avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def combined(scores: Tensor, unseen: Tensor) -> Tensor:
    """One score of a sample from its likelihood and its agreement: the more unusual of the two.

    Each is measured in units of sound samples that training has not seen: how many of their
    standard deviations it lies above their mean. The rule is fixed beforehand and sees no label.

    Arguments:
        scores: (N, K), of each sample its score by likelihood and, if there is one, by agreement.
        unseen: (M, K), the same of sound samples that were held out of training, at least two for
            each score; NaN where training has seen a sample.

    Returns:
        (N,) in standard deviations.

    Raises:
        ValueError: fewer than two held-out samples, or all of them score the same.

    Example:
        >>> unseen = torch.tensor([[0.0, 10.0], [2.0, 12.0], [1.0, 11.0]])
        >>> combined(torch.tensor([[1.0, 14.0], [0.0, 11.0]]), unseen)
        tensor([3., 0.])
    """
    known = ~unseen.isnan()
    if (known.sum(0) < 2).any():
        raise ValueError(f"'unseen' should hold at least two samples, got {known.sum(0).min()}")
    units = [
        (one[there].mean(), one[there].std()) for one, there in zip(unseen.T, known.T, strict=True)
    ]
    mean, spread = (torch.stack(parts) for parts in zip(*units, strict=True))
    if not (spread > 0).all():
        raise ValueError("'unseen' should not score the same everywhere; hold out more samples")
    return ((scores - mean) / spread).amax(1)
