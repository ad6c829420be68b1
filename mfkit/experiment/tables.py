"""Results as tables: several runs side by side, and a run beside what is published."""

import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pandas as pd

from mfkit import escape
from mfkit.data import FLIPS
from mfkit.errors import InputError
from mfkit.experiment.evaluation import FURTHER, METRICS
from mfkit.experiment.published import EACH, PUBLISHED
from mfkit.experiment.results import read_results

__all__ = [
    "COLUMNS",
    "FORMATS",
    "against_published",
    "beside_published",
    "mean_name",
    "render",
    "table",
]

MEAN = "mean"  # the row under all categories


def table(outs: Sequence[str | Path]) -> pd.DataFrame:
    """Metrics in percent of several runs side by side, a row for each category and run.

    A run that lacks what others have, such as agreement, holds NaN there.

    Arguments:
        outs: folders of runs; the name of a folder is the name of its run, with as many folders
            above it as it takes to tell them apart.
    """
    rows = []
    for out, run in zip(outs, _apart(outs), strict=True):
        results = read_results(out)
        parts = dict(sorted(results["categories"].items()))
        epochs = {name: part["epochs"] for name, part in parts.items()}
        if len(set(epochs.values())) > 1:
            each = ", ".join(f"{name} {count}" for name, count in epochs.items())
            warnings.warn(
                f"{out}: not all categories were trained for the same number of epochs ({each}): "
                "type the command of the run with the largest again",
                stacklevel=2,
            )
        if len(parts) > 1:
            parts[MEAN] = results["mean"]
        for name, part in parts.items():
            titles = (METRICS | FURTHER).items()
            metrics = {title: 100 * part[key] for key, title in titles if key in part}
            rows.append({"category": name, "run": run, **metrics})
    if not rows:
        raise InputError(f"{', '.join(map(str, outs))}: no category is finished yet")
    frame = pd.DataFrame(rows).sort_values("category", key=_mean_last, kind="stable")
    return frame.set_index(["category", "run"])


def _apart(outs: Sequence[str | Path]) -> list[str]:
    """Names of folders that differ, if the folders do.

    Example:
        >>> _apart(["/a/wheel", "/b/wheel"])
        ['a/wheel', 'b/wheel']
    """
    places = [Path(out).resolve() for out in outs]
    for length in range(1, max((len(place.parts) for place in places), default=1)):
        names = ["/".join(place.parts[-length:]) for place in places]
        if len(set(names)) == len(set(places)):
            return names
    return list(map(str, places))


def _mean_last(names: pd.Series) -> pd.Series:
    return (names == MEAN).astype(str) + names


COLUMNS = {"s_auroc": "S-AUROC", "i_auroc": "I-AUROC", "p_auroc": "P-AUROC", "p_aupro": "P-AUPRO"}


def against_published(out: str | Path) -> pd.DataFrame:
    """A run beside the published results: its categories, their mean, and the means of others.

    A run has two rows of its mean, since its sample scores follow either rule. The published means
    are of 30 categories; a mean over others must not be compared with them, and its name says so.
    Figures of single categories could not be found for Multi-Flow.

    Arguments:
        out: the folder of a run.

    Returns:
        rows by name; four metrics in percent, then rule, models and source.

    Raises:
        InputError: no results, or none finished.
    """
    results = read_results(out)
    parts = results["categories"]
    if not parts:
        raise InputError(f"{out}: no category is finished yet; wait, or type its command again")
    rows = [_own(name, row, "max") for name, row in parts.items()]
    mean = mean_name(parts)
    return beside_published(rows + [_own(mean, results["mean"], rule) for rule in ("max", "mean")])


def mean_name(categories: Collection[str]) -> str:
    """What a mean over these categories is called: only that of all 30 is Real-IAD's."""
    count = len(categories)
    return (
        "mean of the 30" if set(categories) == set(FLIPS) else f"mean of {count}, not Real-IAD's 30"
    )


def beside_published(rows: Sequence[dict]) -> pd.DataFrame:
    """Rows of one's own, and below them what others have published.

    Arguments:
        rows: "name", the metrics of `COLUMNS` in percent, "rule", "models" and "source".
    """
    rows = list(rows)
    for entry in PUBLISHED:
        figures = {title: getattr(entry, key) for key, title in COLUMNS.items()}
        rows.append(
            {
                "name": entry.method,
                **figures,
                "rule": entry.rule,
                "models": entry.models,
                "source": entry.source,
            }
        )
    frame = pd.DataFrame(rows).set_index("name")
    return frame.astype({title: float for title in COLUMNS.values()})


def _own(name: str, row: dict, rule: str) -> dict:
    figures = {title: 100 * row[key] for key, title in COLUMNS.items()}
    if rule == "mean":
        figures["S-AUROC"] = 100 * row["s_auroc_mean"]
    return {"name": name, **figures, "rule": rule, "models": EACH, "source": "this run"}


def render(frame: pd.DataFrame, form: str = "text") -> str:
    """A table as text, Markdown or LaTeX (booktabs), numbers with at most four digits.

    Arguments:
        frame: of `against_published` or `mfkit.experiment.tables.table`.
        form: a name of `FORMATS`.

    Raises:
        InputError: an unknown format.
    """
    if form not in FORMATS:
        raise InputError(f"'form' should be one of {', '.join(FORMATS)}, got {form!r}")
    return FORMATS[form](frame)


def _text(frame: pd.DataFrame) -> str:
    return escape.terminal(frame.to_string(float_format="{:.4g}".format, na_rep="-"))


def _markdown(frame: pd.DataFrame) -> str:
    cells = _cells(frame, escape.markdown)
    rows = [list(cells.columns), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _latex(frame: pd.DataFrame) -> str:
    numbers = [column for column in frame if frame[column].dtype == float]
    cells = _cells(frame, escape.latex)
    style = "".join("r" if column in numbers else "l" for column in cells)
    rows = (list(cells.columns), *cells.to_numpy().tolist())
    head, *body = (" & ".join(row) + r" \\" for row in rows)
    return "\n".join(
        [rf"\begin{{tabular}}{{{style}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule",
         r"\end{tabular}"]
    )  # fmt: skip


def _cells(frame: pd.DataFrame, escaped: Callable[[object], str]) -> pd.DataFrame:
    """Everything as text that is safe where it goes, the index as the first columns."""
    frame = frame.reset_index().rename(columns=escaped)
    return frame.map(
        lambda x: ("-" if x != x else f"{x:.4g}") if isinstance(x, float) else escaped(x)
    )


FORMATS = {"text": _text, "markdown": _markdown, "latex": _latex}
