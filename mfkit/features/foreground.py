"""Which positions show the object, computed once and kept beside the features.

The background has nothing to say about the object: the paper leaves it out of loss and scores.
"""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mfkit.data import Digests, Sample
from mfkit.errors import InputError
from mfkit.features.masks import Masks
from mfkit.features.row_store import RowStore

__all__ = ["ForegroundStore", "to_positions"]

TOGETHER = 16  # samples whose masks are made before they are written


def to_positions(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask in pixels to the positions of a feature map.

    A position is foreground if any of its pixels is. The nearest pixel alone, as the paper takes,
    loses what is thinner than a position: a wire, a pin.

    Arguments:
        mask: (h, w) of bool.
        height, width: H, W of the feature map.

    Returns:
        (H, W) of bool.

    Example:
        >>> wire = np.zeros((8, 8), bool)
        >>> wire[5] = True
        >>> to_positions(wire, 2, 2).tolist()
        [[False, False], [True, True]]
    """
    pixels = torch.from_numpy(np.ascontiguousarray(mask)).float()[None]
    return F.adaptive_max_pool2d(pixels, (height, width))[0].bool().numpy()


class ForegroundStore(RowStore):
    """Which positions show the object, (N, V, H, W) of bool in one file: see `RowStore`.

    It is indexed like a tensor: `store[[3, 1]]` are the positions of two samples.

    Where no object was found, or no image is, the file holds no foreground, but all positions are
    read as such: to look at everything is safer than to look away.

    Arguments:
        path: the file of masks, written by `build`.

    Raises:
        InputError: no such file, or it is not complete.
    """

    dtype = np.bool_
    contents = "foreground masks"

    def __getitem__(self, indices: Sequence[int] | Tensor | slice | int) -> Tensor:
        shown = torch.from_numpy(self.rows(indices))
        return shown | ~shown.any(-1).any(-1)[..., None, None]

    @classmethod
    def build(
        cls,
        path: str | Path,
        samples: Sequence[Sample],
        masks: Masks,
        height: int,
        width: int,
        label: str = "foreground",
        digests: Digests | None = None,
    ) -> "ForegroundStore":
        """Make what is missing, and open the store.

        Arguments:
            path: the file to write; `path` with the suffix .json describes it.
            samples: N samples with V images each.
            masks: of `load_masks`.
            height, width: H, W of the feature map.
            label: of the progress bar.
            digests: of the files; None reads them all to see whether they have changed.

        Raises:
            InputError: an image or a mask cannot be read, or no image shows an object.
        """
        path = Path(path)

        def positions(sample: Sample) -> np.ndarray:
            rows = np.zeros((len(sample.images), height, width), dtype=bool)
            for view, image in enumerate(sample.images):
                if image is not None:
                    rows[view] = to_positions(masks(sample, view), height, width)
            return rows

        def make(done: int) -> Iterator[np.ndarray]:
            with ThreadPoolExecutor(4) as pool:
                for start in range(done, len(samples), TOGETHER):
                    yield np.stack(list(pool.map(positions, samples[start : start + TOGETHER])))

        shape = (len(samples), len(samples[0].images), height, width)
        store = cls.fill(
            path,
            shape,
            masks.fingerprint(samples, digests),
            make,
            label,
            lambda: masks.former_fingerprint(samples),
        )
        found = store.rows(range(len(samples))).any((2, 3))  # (N, V)
        blank = [
            image
            for sample, shown in zip(samples, found, strict=True)
            for image, there in zip(sample.images, shown, strict=True)
            if image is not None and not there
        ]
        if len(blank) == sum(sample.present.count(True) for sample in samples):
            path.unlink()
            raise InputError(
                f"no object found in any image, the first is {blank[0]}: masks should be white "
                "(255) where the object is; mend them, or choose another --foreground"
            )
        if blank:
            warnings.warn(
                f"no object found in {len(blank)} images, the first is {blank[0]}: all of their "
                "positions count; look at some, or choose another --foreground",
                stacklevel=2,
            )
        return store
