"""The tables of a study's page."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mfkit import escape
from mfkit.experiment import COLUMNS, METRICS, beside_published, mean_name
from mfkit.score import standard_error
from mfkit.study.variants import CONTROLS, OURS, VARIANTS, WORDS

__all__ = ["all_tables"]

CHANCE = 'class="chance" title="not above chance by two standard errors"'


def all_tables(rows: pd.DataFrame, samples: pd.DataFrame) -> list[str]:
    """As HTML.

    Arguments:
        rows: of `finished_rows`.
        samples: of `scored`.
    """
    variants = [variant for variant in VARIANTS if variant in set(rows["variant"])]
    parts = [
        "<h2>S-AUROC of each category</h2>",
        f"<p>{WORDS}</p>",
        "<p>Percent, by the maximum rule; ± is the standard deviation over seeds. Grey is not "
        "above chance by two standard errors.</p>",
        _per_category(rows, samples, variants),
    ]
    if OURS in variants and len(variants) > 1:
        parts += [
            "<h2>What the messages are worth</h2>",
            "<p>S-AUROC of Multi-Flow minus that of a control, paired by category, seeds averaged; "
            "± is the standard error over categories.</p>",
            _differences(rows, variants),
        ]
    return [
        *parts,
        "<h2>All metrics</h2>",
        "<p>Percent, mean over categories; ± is the standard deviation over seeds. S-AUROC follows "
        "the maximum rule of the official tool, S-AUROC (mean) the released code's.</p>",
        _metrics(rows, variants),
        "<h2>Beside the published results</h2>",
        "<p>Each figure with its rule: how the image scores of a sample become its score. Compare "
        "only figures of the same rule, and only means of the same categories: those of this study "
        f"are the {mean_name(set(rows['category']))}.</p>",
        _published(rows, variants),
    ]


def _per_category(rows: pd.DataFrame, samples: pd.DataFrame, variants: Sequence[str]) -> str:
    parts = samples.drop_duplicates(["category", "sample"]).groupby("category")["label"]
    lines = []
    for category, group in rows.groupby("category"):
        labels = parts.get_group(category)
        cells = [escape.html(category), f"{(~labels).sum()} + {labels.sum()}"]
        for variant in variants:
            values = group.loc[group["variant"] == variant, "S-AUROC"]
            chance = len(values) and _is_chance(values.mean(), labels)
            cells.append((_spread(values), CHANCE if chance else ""))
        lines.append(cells)
    seeds = _means(rows)
    cells = [mean_name(set(rows["category"])), ""]
    lines.append([*cells, *(_spread(seeds.loc[variant, "S-AUROC"]) for variant in variants)])
    return _table(["category", "sound + defective", *map(VARIANTS.get, variants)], lines, mean=True)


def _is_chance(percent: float, labels: pd.Series) -> bool:
    area = percent / 100
    return area - 2 * standard_error(area, labels) < 0.5


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over the categories that all variants and seeds have, by variant and seed."""
    runs = rows.groupby("category").size()
    whole = rows[rows["category"].isin(runs[runs == runs.max()].index)]
    return whole.groupby(["variant", "seed"])[list(METRICS.values())].mean()


def _differences(rows: pd.DataFrame, variants: Sequence[str]) -> str:
    areas = rows.groupby(["category", "variant"])["S-AUROC"].mean().unstack()
    lines = []
    for control in (each for each in CONTROLS if each in variants):
        gains = (areas[OURS] - areas[control]).dropna()
        error = gains.std() / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
        ahead = f"{(gains > 0).sum()} of {len(gains)}"
        cells = [f"{gains.mean():+.1f}" + ("" if np.isnan(error) else f" ± {error:.1f}"), ahead]
        lines.append([escape.html(VARIANTS[control]), *cells])
    return _table(["control", "Multi-Flow minus control", "categories where it is ahead"], lines)


def _metrics(rows: pd.DataFrame, variants: Sequence[str]) -> str:
    seeds = _means(rows)
    lines = [
        [VARIANTS[variant], *(_spread(seeds.loc[variant, title]) for title in METRICS.values())]
        for variant in variants
    ]
    return _table(["variant", *METRICS.values()], lines)


def _published(rows: pd.DataFrame, variants: Sequence[str]) -> str:
    seeds, own = _means(rows).groupby("variant").mean(), []
    for variant in variants:
        for rule, key in (("max", "S-AUROC"), ("mean", METRICS["s_auroc_mean"])):
            figures = {title: seeds.loc[variant, title] for title in COLUMNS.values()}
            figures["S-AUROC"] = seeds.loc[variant, key]
            words = {"rule": rule, "models": "one a category", "source": "this study"}
            own.append({"name": f"{VARIANTS[variant]}, here", **figures, **words})
    frame = beside_published(own).reset_index()
    lines = [
        [
            ("-" if value != value else f"{value:.2f}")
            if isinstance(value, float)
            else (escape.html(value), 'class="text"')
            for value in row
        ]
        for row in frame.itertuples(index=False)
    ]
    return _table(list(frame.columns), lines)


def _spread(values: pd.Series) -> str:
    """Mean and standard deviation over seeds."""
    if not len(values):
        return "-"
    spread = values.std() if len(values) > 1 else np.nan
    return f"{values.mean():.1f}" + ("" if np.isnan(spread) else f" ± {spread:.1f}")


def _table(titles: Sequence[str], lines: Sequence[Sequence], mean: bool = False) -> str:
    """Cells are HTML, or HTML and attributes; the last line may be the mean of the others."""
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = []
    for number, line in enumerate(lines):
        cells = [cell if isinstance(cell, tuple) else (cell, "") for cell in line]
        cells = "".join(f"<td {more}>{text}</td>".replace("<td >", "<td>") for text, more in cells)
        last = mean and number == len(lines) - 1
        body.append(f"<tr{' class=mean' if last else ''}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
