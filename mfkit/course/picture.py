"""The picture of the whole method, with today's part in colour."""

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle

from mfkit.flow import ViewGraph

__all__ = ["PARTS", "method"]

PARTS = {
    "look": "1  look",
    "density": "2  density",
    "score": "3  score",
    "messages": "4  messages",
    "multiflow": "5  Multi-Flow",
    "explore": "6  explore",
    "realiad": "7  Real-IAD",
}
"""What `method` can mark, in the order of the lessons."""
_BLUE, _ORANGE, _GREEN, _RED, _PURPLE, *_ = sns.color_palette("colorblind").as_hex()
_TODAY = {  # which lessons colour which element of the picture
    "pictures": {"look"},
    "backbone": {"look"},
    "features": {"look", "score"},
    "flow": {"density", "score"},
    "permutation": {"score"},
    "coupling": {"score", "messages"},
    "messages": {"messages"},
    "latents": {"density", "score"},
    "log_det": {"density", "score"},
    "maps": {"score"},
    "scores": {"score"},
}
_WHOLE = {"multiflow", "explore", "realiad"}  # lessons that colour everything
_ROWS = 5.25 - 1.05 * np.arange(5)  # where the five views are
_SHOWS = {1: (0.68, 0.6), 4: (0.3, 0.7)}  # views that show the defect, and where


def method(part: str) -> Figure:
    """Draw the whole method from pictures to scores, with today's part in colour.

    Arguments:
        part: a name of `PARTS`; from "multiflow" on everything is in colour.

    Returns:
        the figure.

    Raises:
        ValueError: an unknown part.
    """
    if part not in PARTS:
        raise ValueError(f"'part' should be one of {', '.join(PARTS)}, got {part!r}")
    figure = Figure(figsize=(10.6, 4.1), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    paint = _Painter(ax, part)
    _draw_pictures(paint)
    _draw_flow(paint)
    _draw_outputs(paint)
    step = min(3.1, 20.2 / len(PARTS))
    for number, (name, label) in enumerate(PARTS.items()):
        here = name == part
        ax.text(
            0.35 + step * number,
            7.1,
            label,
            color="#222222" if here else "#9a9a9a",
            weight="bold" if here else "normal",
            fontsize=10.5,
            va="center",
        )
        if here:
            ax.plot([0.35 + step * number, 2.6 + step * number], [6.8] * 2, color="#222222", lw=2)
    ax.set(xlim=(0, 20.6), ylim=(-0.55, 7.4), aspect="equal")
    ax.axis("off")
    return figure


class _Painter:
    """Draws elements of the picture: in their colour if they belong to today's part, else grey."""

    def __init__(self, ax: Axes, part: str):
        self.ax, self.part = ax, part

    def today(self, element: str) -> bool:
        return self.part in _WHOLE or self.part in _TODAY[element]

    def colour(self, element: str, colour: str) -> str:
        return colour if self.today(element) else "#bdbdbd"

    def tint(self, element: str, colour: str) -> str:
        """A pale version of the colour, for areas."""
        return sns.light_palette(self.colour(element, colour), 8).as_hex()[1]

    def patch(self, element: str, shape, colour: str, filled: bool = True, **style) -> None:
        face = self.tint(element, colour) if filled else "white"
        style = {"lw": 1.3, "facecolor": face, "zorder": 2} | style
        shape.set(edgecolor=self.colour(element, colour), **style)
        self.ax.add_patch(shape)

    def line(self, element: str, xs, ys, colour: str, lw: float = 1.2, zorder: int = 3) -> None:
        self.ax.plot(xs, ys, color=self.colour(element, colour), lw=lw, zorder=zorder)

    def arrow(self, element: str, x: float, end: float, y: float, colour: str = "#444444") -> None:
        style = {"arrowstyle": "-|>", "color": self.colour(element, colour), "lw": 1.1}
        style |= {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
        self.ax.annotate("", (end, y), (x, y), arrowprops=style, zorder=1)

    def label(self, element: str, x: float, text: str, y: float = 0.38) -> None:
        ink = "#222222" if self.today(element) else "#9a9a9a"
        style = {"fontsize": 8.5, "ha": "center", "va": "top", "linespacing": 1.2}
        self.ax.text(x, y, text, color=ink, **style)

    def image(self, element: str, x: float, y: float, values: np.ndarray, colours) -> None:
        """A map of 0.8 x 0.8, its values between 0 and 1."""
        if not self.today(element):
            colours = ListedColormap(sns.color_palette("Greys", 256)[:110])
        box = (x - 0.4, x + 0.4, y - 0.4, y + 0.4)
        self.ax.imshow(values, colours, extent=box, vmin=0, vmax=1, zorder=2)
        frame = Rectangle((x - 0.4, y - 0.4), 0.8, 0.8)
        self.patch(element, frame, "#444444", facecolor="none", lw=0.7, zorder=3)


def _draw_pictures(paint: _Painter) -> None:
    """Five cameras' pictures of one object, the backbone, and its feature maps."""
    for view, y in enumerate(_ROWS):
        frame = FancyBboxPatch((0.75, y - 0.37), 0.74, 0.74, boxstyle="round,pad=0.04")
        paint.patch("pictures", frame, "#444444", filled=False, lw=1)
        ink = "#222222" if paint.today("pictures") else "#9a9a9a"
        paint.ax.text(0.36, y, f"C{view + 1}", color=ink, fontsize=8.5, ha="center", va="center")
        _draw_object(paint, 0.75, y - 0.37, view)
        paint.arrow("backbone", 1.56, 2.02, y)
        paint.arrow("features", 3.12, 3.52, y)
        for depth in (2, 1, 0):
            square = Rectangle((3.58 + 0.11 * depth, y - 0.4 + 0.11 * depth), 0.6, 0.6)
            paint.patch("features", square, _BLUE, lw=1, zorder=2 + (2 - depth) / 10)
        for cut in (0.2, 0.4):
            xs, ys = [3.58 + cut] * 2, [y - 0.4, y + 0.2]
            paint.line("features", xs, ys, _BLUE, lw=0.6)
            paint.line("features", [3.58, 4.18], [y - 0.4 + cut] * 2, _BLUE, lw=0.6)
    outline = [(2.05, 0.5), (2.05, 5.8), (3.1, 5.5), (3.1, 0.8)]
    paint.patch("backbone", Polygon(outline, joinstyle="round"), _BLUE)
    for turn in range(3):  # a snowflake: its weights do not change
        angle = np.pi * turn / 3 + np.pi / 2
        dx, dy = 0.27 * np.cos(angle), 0.27 * np.sin(angle)
        paint.line("backbone", [2.57 - dx, 2.57 + dx], [3.15 - dy, 3.15 + dy], _BLUE, lw=1.8)
    paint.label("pictures", 1.05, "five\npictures")
    paint.label("backbone", 2.6, "frozen\nbackbone")
    paint.label("features", 4.0, "feature\nmaps")


def _draw_object(paint: _Painter, x: float, y: float, view: int) -> None:
    """A block with three screws, from above or from the side."""
    body = (0.08, 0.08, 0.58, 0.58) if view == 0 else (0.08, 0.12, 0.58, 0.34)
    left, bottom, width, height = body
    paint.patch("pictures", Rectangle((x + left, y + bottom), width, height), _BLUE, lw=0.8)
    for screw in (0.2, 0.37, 0.54):
        if view == 0:
            paint.patch("pictures", Circle((x + screw, y + 0.37), 0.07), "#666666", lw=0.8)
        else:
            head = Rectangle((x + screw - 0.055, y + 0.46), 0.11, 0.09)
            paint.patch("pictures", head, "#666666", lw=0.8)
    if view in _SHOWS:
        spot = Circle((x + 0.74 * _SHOWS[view][0], y + 0.74 * (1 - _SHOWS[view][1])), 0.06)
        red = paint.colour("pictures", _RED)
        paint.patch("pictures", spot, _RED, facecolor=red, lw=0.5, zorder=4)


def _draw_flow(paint: _Painter) -> None:
    """K blocks of permutation and coupling; messages between the views inside the coupling."""
    for depth in (2, 1, 0):
        left, bottom = 4.98 + 0.13 * depth, 0.72 + 0.13 * depth
        box = FancyBboxPatch((left, bottom), 5.85, 5.08, boxstyle="round,pad=0.05,rounding_size=.2")
        style = {"zorder": 0.5 - depth / 10, "facecolor": "#fffaf2"}
        if not paint.today("flow"):
            style["facecolor"] = "#fafafa"
        paint.patch("flow", box, _ORANGE, **style)
    orders = ([2, 0, 1], [1, 2, 0], [0, 2, 1], [2, 1, 0], [1, 0, 2])
    for y, order in zip(_ROWS, orders, strict=True):
        paint.arrow("flow", 4.52, 5.3, y)
        for start, end in enumerate(order):
            xs = np.linspace(5.45, 6.55, 30)
            bend = 1 / (1 + np.exp(-11 * (np.linspace(0, 1, 30) - 0.5)))
            ys = y + 0.26 * (start - 1) + 0.26 * (end - start) * bend
            paint.line("permutation", xs, ys, _ORANGE, lw=1.6)
        paint.arrow("flow", 6.7, 7.25, y)
        paint.line("coupling", [7.45, 9.85], [y, y], _ORANGE, lw=1.6)
        for x in (7.5, 9.8):
            paint.patch("coupling", Circle((x, y), 0.2), _ORANGE, zorder=5)
        paint.arrow("flow", 10.08, 11.6, y)
    graph = ViewGraph.wheel()
    for sender, receiver in graph.edges:
        ys = _ROWS[sender], _ROWS[receiver]
        paint.line("messages", [7.68, 9.62], ys, _PURPLE, lw=1.1, zorder=4)
    paint.label(
        "flow", 8.05, r"K blocks: one invertible map, $\mathbf{x} \rightarrow \mathbf{z}$", 6.55
    )
    paint.label("permutation", 6.0, "permutation\nof channels")
    purple = "messages" if paint.today("messages") else "coupling"
    paint.label(purple, 8.65, "coupling, with messages\nbetween the views")


def _draw_outputs(paint: _Painter) -> None:
    """Latents and log-determinants, score maps, image scores, sample score."""
    rng = np.random.default_rng(3)
    down, across = np.mgrid[0:1:6j, 0:1:6j]
    greens, purples = (sns.light_palette(colour, as_cmap=True) for colour in (_GREEN, _ORANGE))
    for view, y in enumerate(_ROWS):
        noise = np.clip(0.5 + 0.22 * rng.standard_normal((6, 6)), 0, 1)
        if view in _SHOWS:
            noise[3 + view // 4, 1 + 2 * (view == 1)] = 1
        smooth = 0.35 + 0.25 * np.sin(3 * across + view) * np.cos(2.5 * down - view)
        heat = 0.12 + 0.1 * rng.random((6, 6))
        if view in _SHOWS:
            x0, y0 = _SHOWS[view]
            heat += 0.85 * np.exp(-((across - x0) ** 2 + (down - y0) ** 2) / 0.03)
        paint.image("latents", 12.05, y, noise, greens)
        paint.image("log_det", 13.2, y, smooth, purples)
        paint.arrow("maps", 13.72, 14.5, y)
        paint.image(
            "maps", 15.05, y, np.clip(heat, 0, 1), sns.color_palette("rocket", as_cmap=True)
        )
        paint.arrow("scores", 15.55, 16.2, y)
        bar = Rectangle((16.3, y - 0.2), 1.25 * heat.max(), 0.4)
        shown = _RED if view in _SHOWS else _BLUE
        paint.patch("scores", bar, shown, facecolor=paint.colour("scores", shown), lw=0)
        paint.line("scores", [17.75, 18.55], [y, _ROWS[2]], "#666666", lw=0.9, zorder=1)
    badge = FancyBboxPatch((18.65, 2.8), 1.15, 0.7, boxstyle="round,pad=0.08,rounding_size=.2")
    paint.patch("scores", badge, _RED)
    paint.label("scores", 19.22, "0.9", y=3.32)
    paint.label("latents", 12.0, "latents\nN(0, 1)")
    paint.label("log_det", 13.4, "log-deter-\nminants")
    paint.label("maps", 15.05, "score\nmaps")
    paint.label("scores", 16.95, "image\nscores")
    paint.label("scores", 19.22, "sample\nscore")
