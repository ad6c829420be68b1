"""Published results on Real-IAD, each with its rule and source, and a run beside them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mfkit.data import FLIPS
from mfkit.files import InputError
from mfkit.results import read_results

__all__ = ["FORMATS", "PUBLISHED", "Published", "against_published", "render"]

METRICS = {"s_auroc": "S-AUROC", "i_auroc": "I-AUROC", "p_auroc": "P-AUROC", "p_aupro": "P-AUPRO"}


@dataclass(frozen=True)
class Published:
    """Means over the 30 categories and five views of Real-IAD, in percent; None: not given.

    Attributes:
        method: its name and year.
        models: "one a category", or "one for all" 30.
        s_auroc, i_auroc, p_auroc, p_aupro: of samples, images and pixels.
        rule: how five image scores become a sample's: "max", "mean", or "not stated".
        source: where the figures stand, as far as it is known.
    """

    method: str
    models: str
    s_auroc: float | None
    i_auroc: float | None
    p_auroc: float | None
    p_aupro: float | None
    rule: str
    source: str


EACH, ALL = "one a category", "one for all"
PUBLISHED = [
    Published("IDIF (2025)", EACH, 97.0, None, 98.9, None, "not stated", "AAAI 2025"),
    Published("Multi-Flow (2025)", EACH, 95.85, 90.27, 96.47, 87.91, "mean", "as given by MATCH"),
    Published("MATCH (2026)", EACH, 95.63, 91.17, 99.24, 94.76, "max", "ECCV 2026"),
    Published("Dinomaly (2025)", EACH, None, 92.0, None, 95.1, "-", "CVPR 2025"),
    Published("RD4AD", EACH, 93.46, 89.26, 98.81, 92.70, "not stated", "as given by MATCH"),
    Published("FastFlow", EACH, 92.30, 79.26, 90.18, 66.99, "not stated", "as given by MATCH"),
    Published("GeoMAD (2026)", ALL, 91.8, 87.5, 97.8, 92.2, "not stated", "its paper"),
    Published("MVAD (2025)", ALL, 90.2, 86.6, 97.9, 91.2, "not stated", "its paper"),
    Published("MVMCAD (2025)", ALL, None, 91.0, 99.1, 95.2, "-", "its paper"),
]


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
    whole = set(parts) == set(FLIPS)
    rows = [_own(name, row, "max") for name, row in parts.items()]
    mean = "mean of the 30" if whole else f"mean of {len(parts)}, not Real-IAD's 30"
    rows += [_own(mean, results["mean"], rule) for rule in ("max", "mean")]
    for entry in PUBLISHED:
        figures = {title: getattr(entry, key) for key, title in METRICS.items()}
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
    return frame.astype({title: float for title in METRICS.values()})


def _own(name: str, row: dict, rule: str) -> dict:
    figures = {title: 100 * row[key] for key, title in METRICS.items()}
    if rule == "mean":
        figures["S-AUROC"] = 100 * row["s_auroc_mean"]
    return {"name": name, **figures, "rule": rule, "models": EACH, "source": "this run"}


def render(frame: pd.DataFrame, form: str = "text") -> str:
    """A table as text, Markdown or LaTeX (booktabs), numbers with at most four digits.

    Arguments:
        frame: of `against_published` or `mfkit.results.table`.
        form: a name of `FORMATS`.
    """
    return FORMATS[form](frame)


def _text(frame: pd.DataFrame) -> str:
    return frame.to_string(float_format="{:.4g}".format, na_rep="-")


def _markdown(frame: pd.DataFrame) -> str:
    cells = _cells(frame)
    rows = [list(cells.columns), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _latex(frame: pd.DataFrame) -> str:
    numbers = [column for column in frame if frame[column].dtype == float]
    cells = _cells(frame)
    style = "".join("r" if column in numbers else "l" for column in cells)
    names = {letter: f"\\{letter}" for letter in "&%$#_{}"}
    lines = [
        " & ".join("".join(names.get(letter, letter) for letter in cell) for cell in row) + r" \\"
        for row in (list(cells.columns), *cells.to_numpy().tolist())
    ]
    head, *body = lines
    return "\n".join(
        [rf"\begin{{tabular}}{{{style}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule",
         r"\end{tabular}"]
    )  # fmt: skip


def _cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Everything as text, the index as the first columns."""
    frame = frame.reset_index()
    return frame.map(lambda x: ("-" if x != x else f"{x:.4g}") if isinstance(x, float) else str(x))


FORMATS = {"text": _text, "markdown": _markdown, "latex": _latex}
