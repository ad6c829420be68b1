"""What trials found: scores of all test samples beside what is known about them.

Everything here follows from one number for each defective sample: the share of the sound test
samples of its category that score lower (equal ones count one half). Its mean over defective
samples *is* the AUROC, so the same number tells about any group of them: a code, a size, those that
show in two views.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mfkit import escape
from mfkit.data import MASK_SIZE, Category, Sample
from mfkit.experiment import METRICS, read_results
from mfkit.files import whole_file
from mfkit.study.study_folder import StudyFolder, Trial

__all__ = ["SIZES", "defects", "finished_rows", "lost_views", "scored"]

SIZES = (0.0, 0.1, 0.3, 1.0, 3.0, 100.0)  # bounds of classes of defects, in percent of a picture


def finished_rows(folder: StudyFolder, planned: Iterable[Trial]) -> pd.DataFrame:
    """A row for each trial that is done: category, variant, seed, and metrics in percent."""
    results, rows = {}, []
    for trial in planned:
        run = folder.run(trial.variant, trial.seed)
        if run.path not in results:
            there = run.results.exists()
            results[run.path] = read_results(run.path)["categories"] if there else {}
        if (row := results[run.path].get(trial.category)) is not None:
            metrics = {title: 100 * row[key] for key, title in METRICS.items()}
            rows.append({**trial._asdict(), **metrics, "data": row["data"], "mark": row["mark"]})
    return pd.DataFrame(rows, columns=[*Trial._fields, *METRICS.values(), "data", "mark"])


def scored(folder: StudyFolder, rows: pd.DataFrame) -> pd.DataFrame:
    """The test samples of finished trials.

    Returns:
        category, variant, seed, number (in the test split), sample, label, score; found, of
        defective ones the share of sound ones that score lower; unusual, standard deviations above
        the mean of the sound ones. The score is the one that is reported: likelihood and agreement
        joined where there is both.
    """
    parts = []
    for trial in (Trial(*row) for row in rows[list(Trial._fields)].itertuples(index=False)):
        home = folder.run(trial.variant, trial.seed).category(trial.category)
        table = pd.read_csv(home.scores)
        score = table["combined" if "combined" in table else "score"].to_numpy()
        label = table["label"].to_numpy().astype(bool)
        sound = score[~label]
        parts.append(
            pd.DataFrame(
                {
                    **trial._asdict(),
                    "number": range(len(table)),
                    "sample": table["sample"],
                    "label": label,
                    "score": score,
                    "found": np.where(label, _below(score, sound), np.nan),
                    "unusual": (score - sound.mean()) / max(sound.std(), 1e-12),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _below(scores: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Of each score, the share of sound ones that are lower; equal ones count one half."""
    whole = rankdata(np.concatenate([scores, sound]))[: len(scores)]
    return (whole - rankdata(scores)) / len(sound)


def defects(folder: StudyFolder, category: Category, fingerprint: str) -> pd.DataFrame:
    """What is known about the test samples of a category; computed once for the same data.

    Arguments:
        folder: of the study, which remembers it.
        category: its samples.
        fingerprint: of its data, as the row of a trial says.

    Returns:
        sample, code, shows (views in which the defect shows), size (of the largest of its masks, in
        percent of the picture; NaN without a mask).
    """
    path = folder.defects / f"{category.name}-{fingerprint.removeprefix('contents-')[:16]}.csv"
    if not path.exists():
        rows = [
            {
                "sample": escape.cell(sample.name),
                "code": escape.cell(sample.code),
                "shows": sum(sample.labels),
                "size": max(_sizes(sample), default=np.nan),
            }
            for sample in category.test
        ]
        with whole_file(path) as draft:
            pd.DataFrame(rows).to_csv(draft, index=False)
    return pd.read_csv(path, dtype={"code": str}, keep_default_na=False, na_values={"size": ""})


def _sizes(sample: Sample) -> list[float]:
    """Of each mask, the share of the picture that it marks, in percent."""
    there = [view for view, mask in enumerate(sample.masks) if mask is not None]
    return [100 * float(sample.mask(view, MASK_SIZE).mean()) for view in there]


def lost_views(folder: StudyFolder, rows: pd.DataFrame) -> pd.DataFrame:
    """S-AUROC in percent if views are missing, of the trials that measured it.

    Returns:
        category, variant, missing, S-AUROC.
    """
    parts = []
    for trial in (Trial(*row) for row in rows[list(Trial._fields)].itertuples(index=False)):
        home = folder.run(trial.variant, trial.seed).category(trial.category)
        if home.lost_views.exists():
            parts.append(pd.read_csv(home.lost_views).assign(**trial._asdict()))
    if not parts:
        return pd.DataFrame(columns=["category", "variant", "missing", "S-AUROC"])
    table = pd.concat(parts, ignore_index=True)
    table["S-AUROC"] = 100 * table.pop("s_auroc")
    return table
