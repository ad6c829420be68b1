"""The pictures of the explorer that are sheets of images: a row for each kind, a column a view.

Drawn again at every click, so built for speed: images are laid side by side as pixels, and no axes
of matplotlib is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.colors import Colormap, Normalize
from PIL import Image, ImageColor, ImageDraw
from scipy.ndimage import binary_erosion

from mfkit.explore.letters import DPI, POINTS, write
from mfkit.palette import HEAT, PALETTE, SIGNED
from mfkit.score import pixel_map

__all__ = ["DPI", "SMALL", "WIDTH", "Bar", "Sheet", "coloured", "enlarged", "overlay"]

WIDTH, HIGHEST = 8.0, 4.1  # of all figures, inches
SMALL = {"fontsize": POINTS, "color": PALETTE["ink"]}
LEFT, RIGHT, TOP, GAP = 0.3, 0.75, 0.25, 0.08  # inches
BAR = 12  # px: width of a colour bar
EDGE = 2  # px: width of the edge of an area


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
    return bar.colours(Normalize(*bar.limits)(values), bytes=True)[..., :3]


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
        values: the map, (S, S), see `enlarged`. What is ordinary lets the picture through.
        bar: its colours.
        opacity: of the map, 0 .. 1.
        outlines: areas (S, S) of bool with the colour of their edge.

    Returns:
        (S, S, 3) uint8.
    """
    low, high = bar.limits
    strength = np.abs(values) / high if bar.signed else (values - low) / (high - low)
    cover = opacity * (0.25 + strength).clip(0.25, 1)[..., None]
    mixed = (cover * coloured(values, bar) + (1 - cover) * picture).astype(np.uint8)
    for area, colour in outlines:
        edge = area & ~binary_erosion(area, iterations=EDGE, border_value=1)
        mixed[edge] = ImageColor.getrgb(colour)
    return mixed


def enlarged(values: np.ndarray, size: int) -> np.ndarray:
    """Maps (V, H, W) on size x size pixels."""
    return pixel_map(torch.from_numpy(np.ascontiguousarray(values))[None], size)[0].numpy()


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

    def box(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Where an image lies: left, top, width, height as shares of the picture."""
        wide, high = self.size
        left, top, edge = self._place(row, column)
        return left / wide, top / high, edge / wide, edge / high

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return round(WIDTH * DPI), round((TOP + len(self.rows) * self.step) * DPI)

    def image(self) -> np.ndarray:
        """The picture, (H, W, 3) uint8."""
        paper = Image.new("RGB", self.size, "white")
        for row, (name, images) in enumerate(self.rows):
            for column, image in enumerate(images):
                left, top, edge = self._place(row, column)
                # a map keeps its squares
                how = Image.Resampling.NEAREST if len(image) < 64 else Image.Resampling.BILINEAR
                paper.paste(Image.fromarray(image).resize((edge, edge), how), (left, top))
                self._frame(paper, row, column)
            _, top, edge = self._place(row, 0)
            write(paper, name, (LEFT * DPI / 2, top + edge / 2), upright=True)
            self._mark(paper, row)
        for column, title in enumerate(self.titles):
            left, top, edge = self._place(0, column)
            write(paper, title, (left + edge / 2, top - 2), down=1)
        for place, bar in enumerate(self.bars):
            if bar is not None:
                self._bar(paper, place, bar)
        return np.asarray(paper)

    def _place(self, row: int, column: int) -> tuple[int, int, int]:
        """Left, top and edge of an image in px."""
        left, top = LEFT + column * self.step, TOP + row * self.step
        return round(left * DPI), round(top * DPI), round((self.step - GAP) * DPI)

    def _mark(self, paper: Image.Image, row: int) -> None:
        """The position, black on white."""
        if self.mark:
            x, y, column = self.mark
            left, top, edge = self._place(row, column)
            middle = np.round((left + x * edge, top + y * edge)).astype(int)
            draw = ImageDraw.Draw(paper)
            for half, wide, colour in ((8, 4, "white"), (7, 2, PALETTE["ink"])):
                draw.rectangle([*(middle - half), *(middle + half)], outline=colour, width=wide)

    def _frame(self, paper: Image.Image, row: int, column: int) -> None:
        """A frame around an image, if it has one, and the word about it at its foot."""
        if (word := (self.frames or {}).get((row, column))) is not None:
            left, top, edge = self._place(row, column)
            box = (left - 2, top - 2, left + edge + 2, top + edge + 2)
            ImageDraw.Draw(paper).rectangle(box, outline=PALETTE["moved"], width=5)
            write(paper, word, (left + edge / 2, top + edge - 6), down=1, white=True)

    def _bar(self, paper: Image.Image, place: int, bar: Bar) -> None:
        """A scale of colours, its ends and its unit."""
        left, top, edge = self._place(place, len(self.titles))
        last = top + edge if len(self.bars) > 1 else self._place(len(self.rows) - 1, 0)[1] + edge
        steps = coloured(np.linspace(*bar.limits[::-1], last - top)[:, None], bar)
        paper.paste(Image.fromarray(steps).resize((BAR, last - top)), (left, top))
        for value, y, share in zip(bar.limits, (last, top), (1, 0), strict=True):
            write(paper, f"{value:.2f}", (left + BAR + 6, y), across=0, down=share)
        write(paper, bar.unit, (left + BAR + 10, (top + last) / 2), across=0, upright=True)
