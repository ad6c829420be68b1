"""Is it still the same data? Digests of images, labels and masks."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mfkit.data.sample import Category, Sample
from mfkit.errors import Fault

__all__ = ["data_fingerprint", "images_fingerprint"]


def images_fingerprint(maker: str, samples: Sequence[Sample]) -> str:
    """A digest of what makes the rows and of every image's name, size, time of change and flip."""
    digest = hashlib.sha256(maker.encode())
    for sample in samples:
        for image, flip in zip(sample.images, sample.flips, strict=True):
            status = image and _status(image)
            state = f"{status.st_size} {status.st_mtime_ns}" if status else "missing"
            digest.update(os.fsencode(f"{image and image.absolute()} {state} {flip}\n"))
    return digest.hexdigest()


def data_fingerprint(category: Category) -> str:
    """A digest of what a data set contributes to a result: images, labels and masks of defects.

    A file is told by its name and size, so that a copy of a data set is the same data set.
    """
    digest = hashlib.sha256()
    for split, samples in category.splits.items():
        for sample in samples:
            for image, label, mask in zip(sample.images, sample.labels, sample.masks, strict=True):
                sizes = [path and _status(path).st_size for path in (image, mask)]
                state = f"{split} {image} {mask} {sizes} {sample.label} {label}\n"
                digest.update(os.fsencode(state))
    return digest.hexdigest()


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:  # listed, but a link that leads nowhere
        raise Fault(f"{path} does not exist; put the file there", "missing file") from None
