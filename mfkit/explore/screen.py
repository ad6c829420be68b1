"""What a panel of the explorer is: the form that the functions of all panels fill."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from mfkit.explore.sheets import Sheet

__all__ = ["Area", "Screen"]


@dataclass(frozen=True)
class Area:
    """A place in a picture where one can click.

    Attributes:
        key: what it is: ("view", 2) or ("sample", 17).
        label: in words.
        box: left, top, width, height as shares of the picture.
        grid: rows and columns of positions; None: it is one place.
    """

    key: tuple[str, int]
    label: str
    box: tuple[float, float, float, float]
    grid: tuple[int, int] | None = None


def _nowhere(_scene) -> list[Area]:
    return []


@dataclass(frozen=True)
class Screen:
    """One panel.

    Attributes:
        controls: names of the controls that it needs, beside those that all have.
        drawing: scene -> its picture, a sheet of images or a figure.
        words: scene -> what the picture shows, one line of HTML.
        areas: scene -> where one can click.
    """

    controls: tuple[str, ...]
    drawing: Callable[..., Sheet | Figure]
    words: Callable[..., str]
    areas: Callable[..., list[Area]] = _nowhere
