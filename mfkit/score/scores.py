"""From likelihood to anomaly scores: position, image, sample.

A score is a negative log-likelihood in nats per channel, without the constant 1/2 log(2 pi). It can
be negative, since a density can exceed 1: only its order matters.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "FINER",
    "Scores",
    "image_scores",
    "nll_map",
    "pixel_map",
    "quiet_background",
    "sample_scores",
    "score_map",
]

FINER = 2
"""How much finer than the finest scale's grid the joined map of several scales is."""


def nll_map(z: Tensor, log_det: Tensor, foreground: Tensor | None = None) -> Tensor:
    """Score of every position: `(1/2 |m z|^2 - m log_det) / C`.

    Arguments:
        z: latents (B, V, C, H, W).
        log_det: log-determinant (B, V, H, W) in nats.
        foreground: m, (B, V, H, W) of 0 and 1 or bool; None is 1 everywhere.

    Returns:
        (B, V, H, W) in nats per channel; 0 in the background.

    Source: arXiv 2504.03306.

    Example:
        >>> nll_map(2 * torch.ones(1, 1, 3, 1, 1), torch.zeros(1, 1, 1, 1)).item()
        2.0
    """
    nll = (0.5 * z.square().sum(2) - log_det) / z.shape[2]
    return nll if foreground is None else nll * foreground.to(nll.dtype)


def score_map(scales: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Score of every position, by all scales of a flow: the mean of their maps.

    Each map is in nats per channel of its own scale, so that a scale of few channels has as much to
    say as one of many. Maps of several scales are enlarged bilinearly to twice the finest grid,
    where a defect between two positions counts as much as one upon them.

    Arguments:
        scales: z and log-determinant of each, the coarsest first: `MultiFlow.scales`.

    Returns:
        (B, V, H, W) of a single scale; (B, V, 2 f H, 2 f W) of several, the finest f times as fine.

    Source: FastFlow, arXiv 2111.07677, averages the maps of its scales.
    """
    maps = [nll_map(*scale) for scale in scales]
    if len(maps) == 1:
        return maps[0]
    size = [FINER * edge for edge in maps[-1].shape[2:]]
    maps = [F.interpolate(part, size, mode="bilinear", align_corners=False) for part in maps]
    return sum(maps) / len(maps)


def quiet_background(nll: Tensor, foreground: Tensor) -> Tensor:
    """Give the background of every image the lowest score of its foreground.

    So it never is a maximum, wherever maps are compared afterwards: in image scores, in pixel
    metrics, in pictures. At 0, where the released code leaves it, it would outdo all sound
    foreground below 0.

    Arguments:
        nll: (B, V, H, W) in nats per channel.
        foreground: (B, V, H, W) of bool. Where an image has none, all of it counts: to look at
            everything is safer than to look away.

    Returns:
        (B, V, H, W) in nats per channel.

    Example:
        >>> nll = torch.tensor([[[[-1.0, -3.0, 0.0]]]])
        >>> quiet_background(nll, torch.tensor([[[[True, True, False]]]]))
        tensor([[[[-1., -3., -3.]]]])
    """
    shown = foreground | ~foreground.any(-1, keepdim=True).any(-2, keepdim=True)
    lowest = nll.masked_fill(~shown, torch.inf).amin((2, 3), keepdim=True)
    return torch.where(shown, nll, lowest)


def image_scores(nll: Tensor, foreground: Tensor | None = None, rule: str = "max") -> Tensor:
    """Score of every image: the maximum or the mean over its positions.

    The background scores exactly 0, while sound foreground can score below 0. It must not take
    part in a maximum, so it is left out wherever a foreground is given.

    Arguments:
        nll: (B, V, H, W) in nats per channel.
        foreground: (B, V, H, W) of 0 and 1 or bool; None means that every position counts.
        rule: "max" (the paper's) or "mean".

    Returns:
        (B, V) in nats per channel.

    Raises:
        ValueError: an unknown rule, or an image without any foreground.

    Example:
        >>> nll = torch.tensor([[[[-1.0, 0.0]]]])
        >>> image_scores(nll), image_scores(nll, foreground=torch.tensor([[[[1, 0]]]]))
        (tensor([[0.]]), tensor([[-1.]]))
    """
    shown = torch.ones_like(nll, dtype=torch.bool) if foreground is None else foreground.bool()
    if foreground is not None and not shown.flatten(2).any(2).all():
        raise ValueError("'foreground' should show the object in every image, got an empty one")
    if rule == "max":
        return nll.masked_fill(~shown, -torch.inf).flatten(2).amax(2)
    if rule == "mean":
        return nll.masked_fill(~shown, 0).flatten(2).sum(2) / shown.flatten(2).sum(2)
    raise ValueError(f"'rule' should be 'max' or 'mean', got {rule!r}")


def sample_scores(image_scores: Tensor, rule: str = "max", present: Tensor | None = None) -> Tensor:
    """Score of a whole sample from the scores of its images.

    Arguments:
        image_scores: (B, V) in nats per channel.
        rule: "max" (the official tool of Real-IAD) or "mean" (the released Multi-Flow).
        present: (B, V) of bool; absent views do not count. None: all are present.

    Returns:
        (B,) in nats per channel.

    Raises:
        ValueError: an unknown rule, or a sample of which no view is present.

    Example:
        >>> scores = torch.tensor([[0.0, 0.0, 0.0, 0.0, 5.0]])
        >>> sample_scores(scores), sample_scores(scores, rule="mean")
        (tensor([5.]), tensor([1.]))
    """
    if present is None:
        present = torch.ones_like(image_scores, dtype=torch.bool)
    elif not present.any(1).all():
        raise ValueError("'present' should show at least one view of every sample")
    if rule == "max":
        return image_scores.masked_fill(~present, -torch.inf).amax(1)
    if rule == "mean":
        return image_scores.masked_fill(~present, 0).sum(1) / present.sum(1)
    raise ValueError(f"'rule' should be 'max' or 'mean', got {rule!r}")


def pixel_map(nll: Tensor, size: int = 256) -> Tensor:
    """Enlarge a score map bilinearly to the pixels on which defects are compared.

    Arguments:
        nll: (B, V, H, W) in nats per channel.
        size: edge in px; 256 is where the released code evaluates.

    Returns:
        (B, V, size, size) in nats per channel.
    """
    return F.interpolate(nll, size=(size, size), mode="bilinear", align_corners=False)


class Scores(NamedTuple):
    """The whole chain, from a flow's output to the score of an object: one place for its order.

    Attributes:
        maps: (B, V, H, W), the background as low as the lowest foreground of its image.
        images: (B, V), by the maximum rule.
        samples: (B,), by the maximum rule.

    All in nats per channel; maps and images are NaN where a view is absent.
    """

    maps: Tensor
    images: Tensor
    samples: Tensor

    @classmethod
    def of(
        cls,
        scales: Sequence[tuple[Tensor, Tensor]],
        foreground: Tensor | None = None,
        present: Tensor | None = None,
    ) -> Self:
        """Score what a flow makes of some samples.

        Arguments:
            scales: see `score_map`.
            foreground: (B, V, H, W) of bool on the coarsest grid, the positions that count; None:
                all do.
            present: (B, V) of bool; None: all views are.
        """
        maps = score_map(scales)
        if foreground is not None:
            finer = maps.shape[-1] // foreground.shape[-1]
            foreground = foreground.repeat_interleave(finer, -1).repeat_interleave(finer, -2)
            maps = quiet_background(maps, foreground)
        if present is not None:
            maps = maps.masked_fill(~present[..., None, None], torch.nan)
        images = image_scores(maps)
        return cls(maps, images, sample_scores(images, present=present))
