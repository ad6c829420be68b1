"""What features mean: the training patches whose features are nearest."""

import numpy as np
import torch
from torch import Tensor

from mfkit.features import Split

__all__ = ["PIXELS", "Patches"]

PIXELS = 192  # px: edge of an image; most numbers of positions divide it


class Patches:
    """Patches of training images, for every view the same number of random positions a sample.

    A patch is the piece of the image that belongs to one position of the feature map. (What the
    backbone sees from there is larger; the piece is its middle.)

    Arguments:
        split: N samples with their features.
        most: about how many patches to keep for each view.
        seed: of the positions.

    Raises:
        InputError: an image cannot be read.
    """

    def __init__(self, split: Split, most: int = 4096, seed: int = 0):
        views, _, *self.grid = split.features.shape[1:]
        self.samples = split.samples
        generator = torch.Generator().manual_seed(seed)
        each = max(1, most // len(split))
        vectors, tiles, places = ([[] for _ in range(views)] for _ in range(3))
        for index, sample in enumerate(split.samples):
            x = split.features[index].flatten(2)  # (V, C, HW)
            for view in range(views):
                if sample.present[view]:
                    chosen = torch.randperm(x.shape[2], generator=generator)[:each]
                    vectors[view].append(x[view][:, chosen].T)
                    tiles[view].append(self._cut(sample.image(view, PIXELS))[chosen.numpy()])
                    places[view] += [(index, *divmod(int(at), self.grid[1])) for at in chosen]
        self.vectors = [torch.cat(parts) for parts in vectors]
        self.tiles = [np.concatenate(parts) for parts in tiles]
        self.places = places

    def nearest(self, x: Tensor, view: int, count: int = 1) -> np.ndarray:
        """Which patches have the nearest features, by Euclidean distance, the nearest first.

        Arguments:
            x: features (P, C).
            view: whose patches.
            count: how many for each of the P.

        Returns:
            indices (P, count) into the patches of this view.
        """
        distance = torch.cdist(x, self.vectors[view])
        return distance.topk(min(count, distance.shape[1]), largest=False).indices.numpy()

    def mosaic(self, x: Tensor, view: int) -> np.ndarray:
        """Put the nearest patch at every position: features (C, H, W) -> an image, uint8."""
        tiles = self.tiles[view][self.nearest(x.flatten(1).T, view)[:, 0]]
        rows = tiles.reshape(*self.grid, *tiles.shape[1:]).swapaxes(1, 2)  # (H, h, W, w, 3)
        return rows.reshape(self.grid[0] * tiles.shape[1], -1, 3)

    def around(self, view: int, index: int) -> np.ndarray:
        """A patch with its surroundings, see `window`."""
        sample, row, column = self.places[view][index]
        return self.window(self.samples[sample].image(view, PIXELS), row, column)

    def window(self, image: np.ndarray, row: int, column: int) -> np.ndarray:
        """The piece of an image around a position: 3 x 3 positions, as far as there are so many."""
        rows, columns = (
            slice(start * size, (start + 3) * size)
            for start, size in (
                (min(max(at - 1, 0), max(count - 3, 0)), PIXELS // count)
                for at, count in zip((row, column), self.grid, strict=True)
            )
        )
        return image[rows, columns]

    def _cut(self, image: np.ndarray) -> np.ndarray:
        """(PIXELS, PIXELS, 3) -> (HW, h, w, 3)."""
        high, wide = (PIXELS // count for count in self.grid)
        whole = image[: self.grid[0] * high, : self.grid[1] * wide]
        tiles = whole.reshape(self.grid[0], high, self.grid[1], wide, 3).swapaxes(1, 2)
        return tiles.reshape(-1, high, wide, 3)
