"""Axes for plots that are drawn again at every move of a slider: few labels, written as texts.

All views share one axes, side by side. (Axes and ticks are what costs time in matplotlib.) Limits
come from outside and stay, so that changes can be compared.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import MaxNLocator

from mfkit import escape
from mfkit.explore.sheets import SMALL
from mfkit.palette import PALETTE

__all__ = ["few", "legend", "lines", "pane"]


def pane(
    figure: Figure,
    box: tuple[float, float, float, float],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    xticks: Sequence[tuple[float, object]] = (),
    yticks: Sequence[tuple[float, object]] = (),
    xlabel: str = "",
    ylabel: str = "",
) -> Axes:
    """Axes with few labels, written as texts, which is several times as fast as ticks are."""
    ax = figure.add_axes(box)
    ax.set(xlim=xlim, ylim=ylim, xticks=[], yticks=[])
    below, beside = ax.get_xaxis_transform(), ax.get_yaxis_transform()
    for x, label in xticks:
        ax.text(x, -0.03, label, transform=below, ha="center", va="top", **SMALL)
    for y, label in yticks:
        ax.text(-0.015, y, label, transform=beside, ha="right", va="center", **SMALL)
    style = {"clip_on": False, "color": PALETTE["ink"], "ls": "", "ms": 3}
    ax.plot([x for x, _ in xticks], [0] * len(xticks), marker=TICKDOWN, transform=below, **style)
    ax.plot([0] * len(yticks), [y for y, _ in yticks], marker=TICKLEFT, transform=beside, **style)
    ax.set_xlabel(escape.mathtext(xlabel), labelpad=15, **SMALL)
    ax.set_ylabel(escape.mathtext(ylabel), labelpad=22, **SMALL)
    return ax


def few(limits: tuple[float, float]) -> list[tuple[float, str]]:
    """Some round numbers inside some limits, with their labels."""
    low, high = limits
    inside = (x for x in MaxNLocator(4).tick_values(low, high) if low <= x <= high)
    return [(x, f"{x:.4g}") for x in inside]


def lines(ax: Axes, xs: np.ndarray, ys: np.ndarray, **style) -> None:
    """The rows of two arrays as separate lines, drawn as one."""
    ax.plot(
        *(np.pad(a, ((0, 0), (0, 1)), constant_values=np.nan).ravel() for a in (xs, ys)), **style
    )


def legend(ax: Axes, place: str) -> None:
    """Names of what is drawn, in a corner."""
    ax.legend(fontsize=9, loc=place, frameon=False)
