"""A view graph as a picture."""

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from mfkit.palette import PALETTE

__all__ = ["draw_graph"]


def draw_graph(
    graph,
    ax: Axes | None = None,
    muted: Collection[tuple[int, int]] = (),
    names: Sequence[str] | None = None,
) -> Axes:
    """Draw the cameras around the object, and an arrow for every message.

    View 0 lies in the middle, as a camera above the object (the grey disc), if it is joined to all
    others or to none; else it is one of the circle. Below stands what the arrows do not show: that
    messages are added up instead of averaged, that every network relabels the views.

    Arguments:
        graph: a `ViewGraph`.
        ax: where to draw; None makes a figure of its own.
        muted: edges (sender, receiver) that are silent: dotted.
        names: of the V views; None: C1, C2 ...

    Returns:
        the axes.
    """
    ax = Figure(figsize=(3.4, 3.4)).subplots() if ax is None else ax
    hub = set(graph.neighbours[0]) in (set(), set(range(1, graph.views)))
    turns = 2 * np.pi * np.arange(graph.views - hub) / max(1, graph.views - hub)
    places = [(0.0, 0.0)] * hub + [(np.sin(turn), np.cos(turn)) for turn in turns]
    mutual = {
        (j, i)
        for j, i in graph.edges
        if (i, j) in graph.edges and ((i, j) in muted) == ((j, i) in muted)
    }
    for j, i in graph.edges:
        if (j, i) in mutual and j > i:
            continue
        through_hub = hub and np.allclose(np.add(places[j], places[i]), 0) and 0 not in (i, j)
        beside = (i, j) in graph.edges and (j, i) not in mutual
        ax.add_patch(
            FancyArrowPatch(
                places[j],
                places[i],
                arrowstyle="<|-|>" if (j, i) in mutual else "-|>",
                connectionstyle=f"arc3,rad={0.35 if through_hub else 0.15 * beside}",
                mutation_scale=12,
                shrinkA=17,
                shrinkB=17,
                color=PALETTE["moved" if (j, i) in muted else "quiet"],
                linestyle=":" if (j, i) in muted else "-",
            )
        )
    ax.add_patch(Circle((0, 0), 0.6, color=PALETTE["quiet"], alpha=0.2, linewidth=0, zorder=0))
    colours = [PALETTE["sound" if view else "ink"] for view in range(graph.views)]
    ax.scatter(*zip(*places, strict=True), s=620, color=colours, zorder=2)
    names = names or [f"C{view + 1}" for view in range(graph.views)]
    for name, place in zip(names, places, strict=True):
        ax.text(*place, name, color="white", ha="center", va="center", zorder=3)
    said = ["sums"] * (graph.weight == "sum") + ["relabelled in every network"] * graph.shuffle
    ax.text(0, -1.35, ", ".join(said), color=PALETTE["ink"], ha="center", va="top")
    ax.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal")
    ax.axis("off")
    return ax
