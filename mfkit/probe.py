"""Questions to a trained flow: what do the cameras tell each other?"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["swap_views"]


def swap_views(x: Tensor, views: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
    """Give each sample some views of another sample.

    Every single view stays as likely as it was; only the set is no whole any more. How well a flow
    tells swapped from whole samples is what its messages are worth.

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
    if len(x) < 2:
        raise ValueError(f"'x' should hold at least two samples, got {len(x)}")
    if not set(views) <= set(range(x.shape[1])):
        raise ValueError(f"'views' should lie in 0 .. {x.shape[1] - 1}, got {list(views)}")
    shift = int(torch.randint(1, len(x), (), generator=generator))
    swapped = x.clone()
    swapped[:, list(views)] = x.roll(shift, 0)[:, list(views)]
    return swapped
