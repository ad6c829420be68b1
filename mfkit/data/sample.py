"""One object seen by V cameras, and the samples of one category."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mfkit.data.images import read_image, read_mask

__all__ = ["Category", "Sample"]


@dataclass(frozen=True)
class Sample:
    """One object: an image per camera, with what is known about it.

    Attributes:
        name: unique and readable, such as "audiojack_0001_NG_BX".
        category: such as "audiojack".
        code: "OK" or the code of the defect under which the sample is filed, such as "BX".
        number: the sample's number under that code, such as "0001".
        split: "train" or "test".
        images: V paths in the order of the cameras, None where a view is missing.
        masks: V paths of masks, None where no defect shows.
        codes: V codes, "OK" where no defect shows, also in a defective sample.
        flips: V times: mirror this view so that it agrees with its neighbours?
        cameras: V numbers, rising.
    """

    name: str
    category: str
    code: str
    number: str
    split: str
    images: tuple[Path | None, ...]
    masks: tuple[Path | None, ...]
    codes: tuple[str, ...]
    flips: tuple[bool, ...]
    cameras: tuple[int, ...]

    @property
    def title(self) -> str:
        """What a figure calls it: "sound 0001", "BX 0003"."""
        return f"{'sound' if self.code == 'OK' else self.code} {self.number}"

    @property
    def view_names(self) -> tuple[str, ...]:
        """What a figure calls its views, by their cameras: "C1", "C2" ..."""
        return tuple(f"C{camera}" for camera in self.cameras)

    @property
    def present(self) -> tuple[bool, ...]:
        """V times: is there an image of this view?"""
        return tuple(image is not None for image in self.images)

    @property
    def labels(self) -> tuple[bool, ...]:
        """V times: does a defect show in this view?"""
        return tuple(code != "OK" for code in self.codes)

    def image(self, view: int, size: int | None = None) -> np.ndarray | None:
        """The picture of a view as the flow sees it, mirrored where its neighbours ask for it.

        Arguments:
            view: 0 .. V - 1.
            size: px; resize to size x size. None keeps the image's own.

        Returns:
            (H, W, 3) uint8, RGB; None where the view is missing.

        Raises:
            InputError: the file cannot be read.
        """
        path = self.images[view]
        return None if path is None else read_image(path, size, self.flips[view])

    def mask(self, view: int, size: int) -> np.ndarray:
        """Where the defect shows in a view as the flow sees it: (size, size) of bool.

        Raises:
            InputError: the file cannot be read.
        """
        path = self.masks[view]
        if path is None:
            return np.zeros((size, size), dtype=bool)
        return read_mask(path, size, self.flips[view])

    @property
    def label(self) -> bool:
        """A sample is defective if any of its views is, or was filed so and lacks a view."""
        return any(self.labels) or (self.code != "OK" and not all(self.present))


@dataclass(frozen=True)
class Category:
    """The samples of one category and the numbers of its V cameras, rising."""

    name: str
    train: list[Sample]
    test: list[Sample]
    cameras: tuple[int, ...]

    @property
    def splits(self) -> dict[str, list[Sample]]:
        """The samples of "train" and of "test"."""
        return {"train": self.train, "test": self.test}

    @property
    def views(self) -> int:
        """V: how many cameras look at each sample."""
        return len(self.cameras)
