"""Which colour a part has, to choose parts that look alike or unalike."""

from collections.abc import Sequence

import numpy as np

__all__ = ["colours"]

PART = 24  # px: enough of a picture to know its colour


def colours(latents, indices: Sequence[int]) -> np.ndarray:
    """The mean colour (N, V, 3) of every view of some samples; NaN where there is none."""
    found = np.full((len(indices), latents.shape[0], 3), np.nan)
    for place, index in enumerate(indices):
        for view in range(latents.shape[0]):
            if (picture := latents.samples[index].image(view, PART)) is not None:
                found[place, view] = picture.mean((0, 1))
    return found
