"""The figures of a study."""

from itertools import pairwise

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mfkit import escape
from mfkit.data import CODES, MISFITS
from mfkit.study.findings import SIZES
from mfkit.study.variants import VARIANTS

__all__ = ["per_category", "per_group", "without_views"]

COLOURS = dict(zip(VARIANTS, sns.color_palette("colorblind").as_hex(), strict=False))
MARKS = dict(zip(VARIANTS, "oDsX", strict=True))
AREA = "S-AUROC, percent"


def per_category(rows: pd.DataFrame) -> Figure:
    """S-AUROC of each category, all variants side by side; bars are the spread over seeds.

    Arguments:
        rows: of `finished_rows`.
    """
    means = rows.groupby(["category", "variant"])["S-AUROC"].agg(["mean", "std"]).unstack()
    means = means.loc[means["mean"].mean(axis=1).sort_values().index]
    figure = Figure(figsize=(8, 1.3 + 0.3 * len(means)), layout="constrained")
    ax = figure.subplots()
    for variant in (each for each in VARIANTS if each in means["mean"]):
        _points(ax, means["mean"][variant], np.arange(len(means)), variant, means["std"][variant])
    ax.set_yticks(range(len(means)), map(escape.mathtext, means.index), fontsize=8)
    ax.set(xlabel=AREA, xlim=(None, 100.5), ylim=(-0.6, len(means) - 0.4))
    _finish(figure, ax)
    return figure


def per_group(samples: pd.DataFrame) -> Figure:
    """Found defects by code, by size, and by the number of views that show them.

    Arguments:
        samples: defective ones of `scored`, with code, shows and size.
    """
    bad = samples.assign(size=pd.cut(samples["size"], list(SIZES), labels=_size_names()))
    panels = (("code", "defect"), ("size", "largest mask, percent of the picture"))
    panels += (("shows", "views that show the defect"),)
    counts = [bad[column].nunique() or 1 for column, _ in panels]
    figure = Figure(figsize=(11, 4), layout="constrained")
    for ax, (column, title) in zip(
        figure.subplots(1, 3, sharey=True, width_ratios=counts), panels, strict=True
    ):
        groups = [group for group, part in bad.groupby(column, observed=True) if len(part)]
        seeds = bad.groupby([column, "variant", "seed"], observed=True)["found"].mean()
        means = 100 * seeds.groupby(level=[0, 1], observed=True).agg(["mean", "std"])
        for number, variant in enumerate(v for v in VARIANTS if v in set(bad["variant"])):
            part = means.xs(variant, level=1).reindex(groups)
            places = np.arange(len(groups)) + 0.14 * (number - 1.5)
            _points(ax, places, part["mean"], variant, None, part["std"])
        ax.set_xticks(range(len(groups)), [_name(column, each) for each in groups], fontsize=8)
        if column == "code":
            for label in ax.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
        count = bad.drop_duplicates(["category", "sample"])[column].value_counts()
        for place, group in enumerate(groups):
            ax.annotate(f"{count[group]}", (place, 1.01), xycoords=("data", "axes fraction"),
                        ha="center", fontsize=7, color="#777777")  # fmt: skip
        ax.set_xlabel(title)
    figure.axes[0].set_ylabel(AREA)
    _finish(figure, figure.axes[0])
    return figure


def without_views(lost: pd.DataFrame) -> Figure:
    """S-AUROC if views are missing, means over categories.

    Arguments:
        lost: of `lost_views`.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax = figure.subplots()
    means = lost.groupby(["variant", "missing"])["S-AUROC"].mean()
    for variant in (v for v in VARIANTS if v in means.index):
        part = means[variant]
        ax.plot(part.index, part, color=COLOURS[variant], lw=1)
        _points(ax, part.index, part, variant)
    ax.set_xticks(sorted(lost["missing"].unique()))
    ax.set(xlabel="views that are missing, drawn at random", ylabel=AREA)
    _finish(figure, ax)
    return figure


def _points(ax: Axes, x, y, variant: str, across=None, along=None) -> None:
    style = {"color": COLOURS[variant], "fmt": MARKS[variant], "ms": 5, "lw": 1, "alpha": 0.85}
    ax.errorbar(x, y, xerr=across, yerr=along, label=VARIANTS[variant], **style)


def _finish(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    for each in figure.axes:
        each.grid(alpha=0.3, lw=0.5)
        each.spines[["top", "right"]].set_visible(False)


def _size_names() -> list[str]:
    low, high = SIZES[1], SIZES[-2]
    between = [f"{a:g} to {b:g}" for a, b in pairwise(SIZES[1:-1])]
    return [f"up to {low:g}", *between, f"over {high:g}"]


def _name(column: str, group: object) -> str:
    if column == "code" and group in (CODES | MISFITS):
        return f"{group} {(CODES | MISFITS)[group]}"
    return escape.mathtext(group)
