"""What a panel draws, a sheet of images or a figure of matplotlib, as pixels and as a figure."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mfkit.explore.sheets import DPI, Sheet

__all__ = ["as_figure", "encoded", "pixels"]


def pixels(drawing: Sheet | Figure) -> np.ndarray:
    """Its picture, (H, W, 3) uint8."""
    if isinstance(drawing, Sheet):
        return drawing.image()
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def as_figure(drawing: Sheet | Figure) -> Figure:
    """The same as a figure of matplotlib, pixel by pixel."""
    if isinstance(drawing, Figure):
        return drawing
    image = drawing.image()
    high, wide = (count + 0.01 for count in image.shape[:2])  # matplotlib rounds down
    figure = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(image, aspect="auto", interpolation="nearest")
    ax.axis("off")
    return figure


def encoded(image: np.ndarray) -> bytes:
    """An image (H, W, 3) uint8 as PNG, packed quickly."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
