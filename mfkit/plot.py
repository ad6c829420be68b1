"""Every figure of the project, in one palette that colour-blind readers can tell apart."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from mfkit.data import Sample, read_image, read_mask
from mfkit.files import whole_file
from mfkit.flow import ViewGraph
from mfkit.score import pixel_map

__all__ = ["PALETTE", "contact_sheet", "overview", "save", "view_graph", "who_helps"]

_SEABORN = sns.color_palette("colorblind").as_hex()
PALETTE = {
    "sound": _SEABORN[0],
    "defective": _SEABORN[3],
    "truth": "#00e5ff",
    "ink": "#333333",
    "quiet": "#999999",
}
HEAT = sns.color_palette("rocket", as_cmap=True)
THUMBNAIL = 256  # px


def save(figure: Figure, path: str | Path, dpi: int = 100) -> Path:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as draft:
        figure.savefig(draft, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return Path(path)


def view_graph(
    graph: ViewGraph,
    ax: Axes | None = None,
    muted: Collection[tuple[int, int]] = (),
    names: Sequence[str] | None = None,
) -> Axes:
    """Draw the cameras around the object, and an arrow for every message.

    View 0 lies in the middle, as a camera above the object (the grey disc), if it is joined to all
    others or to none; else it is one of the circle. Below stands what the arrows do not show: that
    messages are added up instead of averaged, that every network relabels the views.

    Arguments:
        graph: which view hears which.
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
                color=PALETTE["defective" if (j, i) in muted else "quiet"],
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


def contact_sheet(samples: Sequence[Sample], title: str = "") -> Figure:
    """All views of some samples, a row each, with the defects' contours.

    Arguments:
        samples: with V images each.
        title: above the sheet.

    Returns:
        the figure.
    """
    views = len(samples[0].images)
    figure = Figure(figsize=(1.7 * views + 1.2, 1.75 * len(samples) + 0.4), layout="compressed")
    grid = figure.subplots(len(samples), views, squeeze=False)
    for row, sample in zip(grid, samples, strict=True):
        _pictures(row, sample)
        row[0].set_ylabel(sample.title, fontsize=8)
    for name, ax in zip(samples[0].view_names, grid[0], strict=True):
        ax.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def overview(
    samples: Sequence[Sample],
    nll: np.ndarray,
    image_scores: np.ndarray,
    scores: np.ndarray,
    each: int = 4,
    title: str = "",
) -> Figure:
    """The least anomalous samples on the left, the most anomalous on the right.

    Each sample has two rows: its pictures and its score maps. All maps share one scale, so that
    they can be compared; the ground truth is a contour.

    Arguments:
        samples: N test samples with V images each.
        nll: score maps (N, V, H, W) in nats per channel.
        image_scores: (N, V) in nats per channel.
        scores: (N,) sample scores in nats per channel, which rank the samples.
        each: how many samples a side.
        title: above the figure.

    Returns:
        the figure.
    """
    each = min(each, (len(samples) + 1) // 2)
    order = np.argsort(scores, kind="stable")
    views = nll.shape[1]
    norm = Normalize(*np.nanquantile(nll, [0.5, 0.9995]))  # half of all positions stay dark
    width = 1.35 * views + 0.5
    figure = Figure(figsize=(2 * width + 1.1, 2.95 * each + 0.9), layout="constrained")
    *halves, legend = figure.subfigures(1, 3, wspace=0.02, width_ratios=[width, width, 1.1])
    sides = (("least anomalous", order[:each]), ("most anomalous", order[::-1][:each]))
    for half, (name, chosen) in zip(halves, sides, strict=True):
        half.suptitle(name, fontsize=12, color=PALETTE["ink"])
        grid = half.subplots(2 * each, views, squeeze=False)
        for place, index in enumerate(chosen):
            sample = samples[index]
            pictures, maps = grid[2 * place], grid[2 * place + 1]
            masks = _pictures(pictures, sample)
            enlarged = pixel_map(torch.as_tensor(nll[index])[None], THUMBNAIL)[0].numpy()
            for ax, values, mask, score in zip(
                maps, enlarged, masks, image_scores[index], strict=True
            ):
                ax.imshow(values, cmap=HEAT, norm=norm)
                _contour(ax, mask)
                ax.set_xlabel(
                    "absent" if np.isnan(score) else f"{score:.2f}", fontsize=8, labelpad=2
                )
                _bare(ax)
            pictures[0].set_ylabel(sample.title, fontsize=8)
            maps[0].set_ylabel(f"sample\n{scores[index]:.2f}", fontsize=8)
    bar = figure.colorbar(
        ScalarMappable(norm, HEAT), cax=legend.subplots(), extend="both", extendfrac=0.02
    )
    bar.ax.set_box_aspect(25)
    bar.set_label("score: negative log-likelihood, nats per channel")
    figure.suptitle(title, fontsize=13)
    return figure


def _pictures(row: Sequence[Axes], sample: Sample) -> list[np.ndarray | None]:
    """Show the views of a sample, defects outlined; their masks."""
    masks = []
    for ax, image, mask, flip in zip(row, sample.images, sample.masks, sample.flips, strict=True):
        if image is not None:
            ax.imshow(read_image(image, THUMBNAIL, flip))
        masks.append(None if mask is None else read_mask(mask, THUMBNAIL, flip))
        _contour(ax, masks[-1])
        _bare(ax)
    return masks


def _contour(ax: Axes, mask: np.ndarray | None) -> None:
    if mask is not None:
        ax.contour(mask, levels=[0.5], colors=PALETTE["truth"], linewidths=1)


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def who_helps(worth: np.ndarray, ax: Axes | None = None, limit: float | None = None) -> Axes:
    """The worth of every message as a matrix; see `mfkit.score.probe.who_helps`.

    Arguments:
        worth: (V, V) in nats, row receiver, column sender.
        ax: where to draw; None makes a figure of its own.
        limit: worth of the darkest colours, in nats; None takes the largest there is.

    Returns:
        the axes.
    """
    ax = Figure(figsize=(4.4, 3.6), layout="constrained").subplots() if ax is None else ax
    limit = limit or np.abs(worth).max() or 1.0
    names = [f"C{view + 1}" for view in range(len(worth))]
    sns.heatmap(
        worth,
        mask=worth == 0,
        vmin=-limit,
        vmax=limit,
        cmap="vlag",
        annot=True,
        fmt=".0f",
        square=True,
        xticklabels=names,
        yticklabels=names,
        cbar_kws={"label": "worth of the message, nats"},
        ax=ax,
    )
    ax.set(xlabel="sender", ylabel="receiver")
    return ax
