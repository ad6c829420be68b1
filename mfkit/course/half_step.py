"""A half-step of the coupling drawn as a graph: what is moved, and by what."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mfkit.flow import ViewGraph
from mfkit.palette import PALETTE

__all__ = ["half_step"]

_IN, _HIDDEN, _PLAN, _MOVE, _OUT = 0.0, 1.7, 4.0, 5.2, 6.6  # where things stand, left to right
_APART = 0.34  # a view's first half stands above its second half


def half_step(graph: ViewGraph) -> Figure:
    """Draw the half-step that moves the first halves of all views.

    Every second half becomes a hidden map; own hidden map and messages (purple) become scale and
    shift; these move the first half. No arrow leads from a first half to anything but itself.

    Arguments:
        graph: of two to five views, drawn one below the other.

    Returns:
        the figure.
    """
    figure = Figure(figsize=(8.2, 0.4 + 1.25 * graph.views), layout="constrained")
    ax = figure.subplots()
    middles = [-1.5 * view for view in range(graph.views)]
    for view, y in enumerate(middles):
        first, second = y + _APART, y - _APART
        _arrow(ax, (_IN, first), (_OUT, first), PALETTE["sound"])
        _arrow(ax, (_IN, second), (_OUT, second), PALETTE["quiet"])
        _arrow(ax, (_HIDDEN, second), (_PLAN, y), PALETTE["ink"])
        _arrow(ax, (_PLAN, y), (_MOVE, first), PALETTE["ink"])
        for other in graph.neighbours[view]:
            _arrow(ax, (_HIDDEN, middles[other] - _APART), (_PLAN, y), PALETTE["moved"])
        _box(ax, (_IN, first), f"$x^{{(1)}}_{view}$", PALETTE["sound"])
        _box(ax, (_IN, second), f"$x^{{(2)}}_{view}$", PALETTE["quiet"])
        _box(ax, (_HIDDEN, second), f"$h_{view}$", PALETTE["quiet"])
        _box(ax, (_PLAN, y), f"$s_{view}, t_{view}$", PALETTE["ink"])
        _box(ax, (_MOVE, first), r"$\times e^s\!,\,+t$", PALETTE["sound"])
        _box(ax, (_OUT, first), f"$z^{{(1)}}_{view}$", PALETTE["sound"])
        _box(ax, (_OUT, second), f"$x^{{(2)}}_{view}$", PALETTE["quiet"])
    ax.set(xlim=(-0.5, 7.1), ylim=(middles[-1] - 0.7, 0.7))
    ax.axis("off")
    return figure


def _arrow(ax: Axes, start: tuple, end: tuple, colour: str) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 16, "shrinkB": 18}
    ax.annotate("", end, start, arrowprops=style, zorder=1)


def _box(ax: Axes, place: tuple, text: str, colour: str) -> None:
    frame = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colour, "lw": 1.3}
    ax.text(*place, text, ha="center", va="center", fontsize=10, bbox=frame, zorder=3)
