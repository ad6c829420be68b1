"""What a frozen backbone sees, computed once and kept on disk."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mfkit.data import Digests, Sample, former_images_fingerprint, images_fingerprint
from mfkit.errors import InputError
from mfkit.features.backbone import Backbone
from mfkit.features.row_store import RowStore

__all__ = ["READERS", "FeatureStore", "present_views"]

READERS = 4  # threads that decode images


class FeatureStore(RowStore):
    """Features of samples in one memory-mapped file of float16, read as needed: see `RowStore`.

    It is indexed like a tensor (N, V, C, H, W): `store[[3, 1]]` are the features of two samples,
    float32, a copy. A missing view is NaN: see `present_views`.

    Arguments:
        path: the file of features, written by `build`.

    Raises:
        InputError: no such file, or it is not complete.
    """

    dtype = np.float16
    contents = "features"

    def __getitem__(self, indices: Sequence[int] | Tensor | slice | int) -> Tensor:
        return torch.from_numpy(self.rows(indices).astype(np.float32))

    @classmethod
    def build(
        cls,
        path: str | Path,
        samples: Sequence[Sample],
        backbone: Backbone,
        batch: int = 4,
        label: str = "features",
        digests: Digests | None = None,
    ) -> "FeatureStore":
        """Compute what is missing, and open the store.

        Arguments:
            path: the file to write; `path` with the suffix .json describes it.
            samples: N samples with V images each.
            backbone: makes the features, on the device it lies on.
            batch: samples that go through the backbone together.
            label: of the progress bar.
            digests: of the images' files; None reads them all to see whether they have changed.

        Returns:
            the store of N samples, in the order of `samples`.

        Raises:
            InputError: an image cannot be read, or a feature exceeds float16.
        """
        device = backbone.mean.device

        def make(done: int) -> Iterator[np.ndarray]:
            for group, present in _prefetch(samples[done:], backbone.size, batch):
                features = backbone(torch.from_numpy(group).flatten(0, 1).to(device))
                half = features.half().cpu().numpy()
                if not np.isfinite(half).all():
                    raise InputError(
                        f"{path}: a feature of {backbone.name} does not fit into float16 "
                        f"(largest: {features.abs().max():.3g}); check the backbone's weights"
                    )
                half[~present.ravel()] = np.nan
                yield half.reshape(*present.shape, *half.shape[1:])

        blank = torch.zeros(1, backbone.size, backbone.size, 3, dtype=torch.uint8, device=device)
        shape = (len(samples), len(samples[0].images), *backbone(blank).shape[1:])
        maker = backbone.fingerprint()
        return cls.fill(
            path,
            shape,
            images_fingerprint(maker, samples, digests),
            make,
            label,
            lambda: former_images_fingerprint(maker, samples),
        )


def present_views(features: Tensor) -> Tensor:
    """Which views are not missing, i.e. not NaN: (B, V, C, H, W) -> (B, V) of bool."""
    return ~features[:, :, 0, 0, 0].isnan()


def _prefetch(
    samples: Sequence[Sample], size: int, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images of `batch` samples at a time, (B, V, size, size, 3), decoded one batch ahead.

    Beside them which of them are there, (B, V); the others are black.
    """
    black = np.zeros((size, size, 3), dtype=np.uint8)

    def load(sample: Sample) -> tuple[np.ndarray, tuple[bool, ...]]:
        images = (sample.image(view, size) for view in range(len(sample.images)))
        return np.stack([black if image is None else image for image in images]), sample.present

    with ThreadPoolExecutor(READERS) as pool:
        waiting = deque(samples)
        loading: deque = deque()
        while waiting or loading:
            while waiting and len(loading) < 2 * batch:
                loading.append(pool.submit(load, waiting.popleft()))
            ready = [loading.popleft().result() for _ in range(min(batch, len(loading)))]
            images, present = zip(*ready, strict=True)
            yield np.stack(images), np.array(present)
