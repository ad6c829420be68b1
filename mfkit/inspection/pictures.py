"""The pictures of one part: read, and compared with those that the model knows."""

from dataclasses import dataclass

import numpy as np

from mfkit.data import Sample, fit_image, is_grey, read_image
from mfkit.errors import Fault
from mfkit.experiment import Description

__all__ = ["Pictures", "take"]


@dataclass(frozen=True)
class Pictures:
    """The pictures of one part, in memory; to masks it looks like a `Sample`.

    Attributes:
        views: V pictures (h, w, 3) uint8, RGB, as taken; None where one is absent.
        flips: V times: mirror this view?
    """

    views: tuple[np.ndarray | None, ...]
    flips: tuple[bool, ...]

    @property
    def present(self) -> tuple[bool, ...]:
        """V times: is there a picture?"""
        return tuple(view is not None for view in self.views)

    def image(self, view: int, size: int | None = None) -> np.ndarray | None:
        """The picture of a view as the flow sees it; see `Sample.image`."""
        pixels = self.views[view]
        return None if pixels is None else fit_image(pixels, size, self.flips[view])


def take(sample: Sample, description: Description) -> Pictures:
    """Read the pictures of a part and compare them with those that the model knows.

    Raises:
        InputError: one cannot be read, has another size, or lacks colour (or has some) where the
            training pictures of its camera did not.
    """
    views = []
    for path, camera in zip(sample.images, description.cameras, strict=True):
        if path is None:
            views.append(None)
            continue
        pixels = read_image(path)
        size, grey = pixels.shape[1::-1], is_grey(pixels)
        if camera.size not in (None, size):
            raise Fault(
                f"{path}: has {size[0]} x {size[1]} px, camera {camera.name} had {camera.size[0]} "
                f"x {camera.size[1]} in training; take the picture as those were taken",
                "image size",
            )
        if camera.grey is not None and grey != camera.grey:
            had, mend = ("grey", "in colour") if grey else ("in colour", "grey")
            raise Fault(
                f"{path}: is {had}, the pictures of camera {camera.name} were {mend} in training; "
                "set the camera as it was then",
                "colour",
            )
        views.append(pixels)
    return Pictures(tuple(views), tuple(camera.flip for camera in description.cameras))
