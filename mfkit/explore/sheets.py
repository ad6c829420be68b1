"""The pictures of the explorer that are sheets of images: a row for each kind, a column a view.

Drawn again at every move of a slider, so built for speed: a row is one image, colour bars are
images, and a single axes holds everything, measured in inches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import binary_erosion

from mfkit import escape
from mfkit.palette import HEAT, PALETTE, SIGNED
from mfkit.score import pixel_map

__all__ = ["DPI", "SMALL", "WIDTH", "Bar", "Sheet", "coloured", "enlarged", "overlay"]

WIDTH, HIGHEST, DPI = 8.0, 4.1, 100  # of all figures: inches, px per inch
SMALL = {"fontsize": 9, "color": PALETTE["ink"]}
LEFT, RIGHT, TOP, GAP = 0.3, 0.75, 0.25, 0.08  # inches


@dataclass(frozen=True)
class Bar:
    """A scale of colours.

    Attributes:
        unit: "nats per channel", for example.
        limits: its ends.
        signed: is it one of differences, white at 0?
    """

    unit: str
    limits: tuple[float, float]
    signed: bool = False

    @property
    def colours(self) -> Colormap:
        """Of the scale."""
        return SIGNED if self.signed else HEAT


def coloured(values: np.ndarray, bar: Bar) -> np.ndarray:
    """Numbers (..., H, W) as colours (..., H, W, 3), uint8."""
    return (255 * bar.colours(Normalize(*bar.limits)(values))[..., :3]).astype(np.uint8)


def overlay(
    picture: np.ndarray,
    values: np.ndarray,
    bar: Bar,
    opacity: float,
    outlines: Sequence[tuple[np.ndarray, str]] = (),
) -> np.ndarray:
    """An image with a map over it, and the edges of some areas.

    Arguments:
        picture: (S, S, 3) uint8.
        values: the map, (H, W). What is ordinary lets the picture through.
        bar: its colours.
        opacity: of the map, 0 .. 1.
        outlines: areas (S, S) of bool with the colour of their edge.

    Returns:
        (S, S, 3) uint8.
    """
    values = enlarged(values, len(picture))
    low, high = bar.limits
    strength = np.abs(values) / high if bar.signed else (values - low) / (high - low)
    cover = opacity * (0.25 + strength).clip(0.25, 1)[..., None]
    mixed = (cover * coloured(values, bar) + (1 - cover) * picture).astype(np.uint8)
    for area, colour in outlines:
        edge = area & ~binary_erosion(area, iterations=2, border_value=1)
        mixed[edge] = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return mixed


def enlarged(values: np.ndarray, size: int) -> np.ndarray:
    """A map (H, W) on size x size pixels."""
    return pixel_map(torch.from_numpy(np.ascontiguousarray(values))[None, None], size)[0, 0].numpy()


@dataclass(frozen=True)
class Sheet:
    """Rows of images with a name in front, and a colour bar for each row or for all of them.

    Attributes:
        rows: for each its name and V images (S, S, 3).
        titles: one a column.
        bars: none, one for all rows, or one a row (None: that row has none).
        mark: (x, y, column) of the chosen position, x and y as shares of an image.
        frames: (row, column) of images to frame, with a word about each.
        largest: edge of an image at most, inches.
    """

    rows: Sequence[tuple[str, Sequence[np.ndarray]]]
    titles: Sequence[str]
    bars: Sequence[Bar | None] = ()
    mark: tuple[float, float, int] | None = None
    frames: Mapping[tuple[int, int], str] | None = None
    largest: float = 2.6

    @property
    def step(self) -> float:
        """An image and the gap behind it, inches."""
        wide = (WIDTH - LEFT - self.right) / len(self.titles)
        return min(wide, self.largest, (HIGHEST - TOP) / len(self.rows))

    @property
    def right(self) -> float:
        """The margin on the right, inches."""
        return RIGHT if self.bars else 0.1

    @property
    def high(self) -> float:
        """The whole height, inches."""
        return TOP + len(self.rows) * self.step

    def box(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Where an image lies: left, top, width, height as shares of the figure."""
        edge = self.step - GAP
        left, top = LEFT + column * self.step, TOP + row * self.step
        return left / WIDTH, top / self.high, edge / WIDTH, edge / self.high

    def figure(self) -> Figure:
        """The picture."""
        figure = Figure(figsize=(WIDTH, self.high), dpi=DPI)
        ax = figure.add_axes((0, 0, 1, 1))  # in inches
        for row, (name, images) in enumerate(self.rows):
            low, wide = self.high - TOP - (row + 1) * self.step, len(images) * self.step - GAP
            how = "nearest" if len(images[0]) < 64 else None  # a map keeps its squares
            box = (LEFT, LEFT + wide, low + GAP, low + self.step)
            ax.imshow(_beside(images, GAP / self.step), extent=box, interpolation=how)
            middle = low + self.step / 2
            name = escape.mathtext(name)
            ax.text(LEFT / 2, middle, name, rotation=90, ha="center", va="center", **SMALL)
            self._marks(ax, low, row)
        for column, title in enumerate(self.titles):
            x = LEFT + column * self.step + (self.step - GAP) / 2
            ax.text(x, self.high - TOP + 0.05, title, ha="center", va="bottom", **SMALL)
        for place, bar in enumerate(self.bars):
            if bar is not None:
                self._bar(ax, place, bar)
        ax.set(xlim=(0, WIDTH), ylim=(0, self.high), aspect="auto")
        ax.axis("off")
        return figure

    def _marks(self, ax: Axes, low: float, row: int) -> None:
        """The position and the frames of one row."""
        edge = self.step - GAP
        if self.mark:
            x, y, column = self.mark
            at = LEFT + column * self.step + x * edge, low + self.step - y * edge
            ax.plot(*at, "s", ms=9, mfc="none", mec="white", mew=2.5)
            ax.plot(*at, "s", ms=9, mfc="none", mec=PALETTE["ink"], mew=1)
        for column in range(len(self.titles)):
            if (word := (self.frames or {}).get((row, column))) is None:
                continue
            left, bottom = LEFT + column * self.step, low + GAP
            style = {"fill": False, "ec": PALETTE["moved"], "lw": 4}
            ax.add_patch(Rectangle((left, bottom), edge, edge, **style))
            at = left + edge / 2, bottom + 0.06
            label = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
            word = escape.mathtext(word)
            ax.text(*at, word, ha="center", va="bottom", bbox=label, clip_on=True, **SMALL)

    def _bar(self, ax: Axes, place: int, bar: Bar) -> None:
        x, up = LEFT + len(self.titles) * self.step, self.high - TOP - place * self.step
        low = up - self.step + GAP if len(self.bars) > 1 else GAP
        ax.imshow(np.linspace(1, 0, 64)[:, None], bar.colours, extent=(x, x + 0.12, low, up))
        for value, y, side in zip(bar.limits, (low, up), ("bottom", "top"), strict=True):
            ax.text(x + 0.18, y, f"{value:.2f}", va=side, **SMALL)
        ax.text(x + 0.2, (low + up) / 2, bar.unit, rotation=90, va="center", **SMALL)


def _beside(images: Sequence[np.ndarray], gap: float) -> np.ndarray:
    """V images in one, with white gaps between them, each a share of the whole step."""
    size = len(images[0])
    times = -(-64 // size)  # so that a gap is at least some pixels wide
    images = [image.repeat(times, 0).repeat(times, 1) for image in images]
    white = np.full((size * times, round(gap / (1 - gap) * size * times), 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, white)][:-1], axis=1)
