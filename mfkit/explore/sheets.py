"""The pictures of the explorer that are sheets of images: a row for each kind, a column a view.

Drawn again at every move of a slider, so built for speed: a row is one image, colour bars are
images, and a single axes holds everything, measured in inches.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy.ndimage import binary_erosion

from mfkit import escape
from mfkit.explore.answers import Answer
from mfkit.palette import HEAT, PALETTE
from mfkit.score import pixel_map

__all__ = ["DPI", "SMALL", "WIDTH", "enlarged", "maps", "overlay", "terms", "way_back"]

WIDTH, DPI = 9.6, 100  # of all figures: inches, px per inch
SMALL = {"fontsize": 8.5, "color": PALETTE["ink"]}


def overlay(
    picture: np.ndarray,
    nll: np.ndarray,
    limits: tuple[float, float],
    opacity: float,
    outlines: Sequence[tuple[np.ndarray, str]] = (),
) -> np.ndarray:
    """An image with its score map over it, and the edges of some areas.

    Arguments:
        picture: (S, S, 3) uint8.
        nll: (H, W) in nats per channel.
        limits: of the colours, nats per channel.
        opacity: of the map, 0 .. 1.
        outlines: areas (S, S) of bool with the colour of their edge.

    Returns:
        (S, S, 3) uint8.
    """
    size = len(picture)
    heat = HEAT(Normalize(*limits)(enlarged(nll, size)))[..., :3]
    mixed = (255 * opacity * heat + (1 - opacity) * picture).astype(np.uint8)
    for area, colour in outlines:
        edge = area & ~binary_erosion(area, iterations=2, border_value=1)
        mixed[edge] = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return mixed


def enlarged(nll: np.ndarray, size: int) -> np.ndarray:
    """A score map (H, W) on size x size pixels."""
    return pixel_map(torch.from_numpy(np.ascontiguousarray(nll))[None, None], size)[0, 0].numpy()


def maps(
    rows: Sequence[tuple[str, Sequence[np.ndarray]]],
    titles: Sequence[str],
    limits: tuple[float, float],
    mark: tuple[float, float, int],
) -> Figure:
    """Overlays of all views, a row for each model.

    Arguments:
        rows: for each model its name and V images (S, S, 3), see `overlay`.
        titles: one a view, above the first row.
        limits: of the colours, nats per channel.
        mark: x and y of the chosen position as shares of an image, and its view.
    """
    return _sheet(rows, titles, [("nats per channel", limits)], mark)


def terms(
    answer: Answer, titles: Sequence[str], limits: Sequence[tuple], mark: tuple[float, float, int]
) -> Figure:
    """The score taken apart: half the squared norm, minus the log-determinant, their sum.

    Arguments:
        answer: of the sample.
        titles: one a view.
        limits: of the colours of the three rows, nats per channel.
        mark: see `maps`.
    """
    names = ("half squared norm", "- log-determinant", "= score")
    parts = (answer.half, -answer.log_det, answer.nll)
    rows = [
        (name, (255 * HEAT(Normalize(*limit)(values))[..., :3]).astype(np.uint8))
        for name, values, limit in zip(names, parts, limits, strict=True)
    ]
    return _sheet(rows, titles, [("nats per channel", limit) for limit in limits], mark)


def way_back(rows: Sequence[tuple[str, Sequence[np.ndarray]]], views: Sequence[str]) -> Figure:
    """Rows of V images with their names, such as a sample and what came back from its latents."""
    return _sheet(rows, views)


def _sheet(
    rows: Sequence[tuple[str, Sequence[np.ndarray]]],
    titles: Sequence[str],
    bars: Sequence[tuple[str, tuple[float, float]]] = (),
    mark: tuple[float, float, int] | None = None,
) -> Figure:
    """Rows of V images with a name in front, and a colour bar for each row or for all of them."""
    left, right, top, gap = 0.3, 0.75 if bars else 0.1, 0.25, 0.08  # inches
    step = min((WIDTH - left - right) / len(titles), 2.6)  # an image and the gap behind it
    high = top + len(rows) * step
    figure = Figure(figsize=(WIDTH, high), dpi=DPI)
    ax = figure.add_axes((0, 0, 1, 1))  # in inches
    for row, (name, images) in enumerate(rows):
        low = high - top - (row + 1) * step
        wide = len(images) * step - gap
        how = "nearest" if len(images[0]) < 64 else None  # a map keeps its squares
        box = (left, left + wide, low + gap, low + step)
        ax.imshow(_beside(images, gap / step), extent=box, interpolation=how)
        name = escape.mathtext(name)
        ax.text(left / 2, low + step / 2, name, rotation=90, ha="center", va="center", **SMALL)
        if mark:
            at = left + mark[2] * step + mark[0] * (step - gap), low + step - mark[1] * (step - gap)
            ax.plot(*at, "s", ms=9, mfc="none", mec="white", mew=2.5)
            ax.plot(*at, "s", ms=9, mfc="none", mec=PALETTE["ink"], mew=1)
    for view, title in enumerate(titles):
        x = left + view * step + (step - gap) / 2
        ax.text(x, high - top + 0.05, title, ha="center", va="bottom", **SMALL)
    for place, (name, limits) in enumerate(bars):
        x, up = left + len(titles) * step, high - top - place * step
        low = up - step + gap if len(bars) > 1 else gap
        ax.imshow(np.linspace(1, 0, 64)[:, None], HEAT, extent=(x, x + 0.12, low, up))
        for value, y, side in zip(limits, (low, up), ("bottom", "top"), strict=True):
            ax.text(x + 0.18, y, f"{value:.2f}", va=side, **SMALL)
        ax.text(x + 0.2, (low + up) / 2, name, rotation=90, va="center", **SMALL)
    ax.set(xlim=(0, WIDTH), ylim=(0, high), aspect="auto")
    ax.axis("off")
    return figure


def _beside(images: Sequence[np.ndarray], gap: float) -> np.ndarray:
    """V images in one, with white gaps between them, each a share of the whole step."""
    size = len(images[0])
    times = -(-64 // size)  # so that a gap is at least some pixels wide
    images = [image.repeat(times, 0).repeat(times, 1) for image in images]
    white = np.full((size * times, round(gap / (1 - gap) * size * times), 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, white)][:-1], axis=1)
