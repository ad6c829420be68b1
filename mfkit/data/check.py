"""Look at every row and every pixel of a data set, and list all that is wrong with it."""

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from mfkit import escape
from mfkit.data.category import group_rows
from mfkit.data.images import read_image
from mfkit.data.index import Row, read_rows
from mfkit.data.layout import DataSet
from mfkit.data.real_iad import FLIPS, TOTALS
from mfkit.data.truth import BLACK, doubt
from mfkit.errors import Fault, few

__all__ = ["Report", "check"]

KEPT = 1000  # faults of a kind that are remembered


@dataclass(frozen=True)
class Report:
    """What `check` found; print it to read it.

    Attributes:
        counts: images per category, split, code (of the view) and camera.
        samples: samples and images per category and split, and how many of them are defective.
        faults: everything that is wrong, in the order in which it was found; of each kind the
            first thousand.
        notes: what is remarkable but not wrong.
        times: how many faults there are of each kind.
    """

    counts: pd.DataFrame
    samples: pd.DataFrame
    faults: list[Fault]
    notes: list[str]
    times: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Is nothing wrong?"""
        return not self.faults

    def __str__(self) -> str:
        parts = ["Images per code and camera", self.counts.to_string(), ""]
        parts += ["Samples and images", self.samples.to_string(), ""]
        parts += [f"note: {note}" for note in few(self.notes)]
        for kind, times in self.times.items():
            parts += ["", f"{kind} ({times})"]
            same = [fault for fault in self.faults if fault.kind == kind]
            parts += [f"  {line}" for line in few(same, times)]
        parts += ["", f"{sum(self.times.values())} faults" if self.faults else "no faults"]
        return escape.terminal("\n".join(parts))


class _Faults(list):
    """Faults as they are found; of a kind that does not end the first are kept, all are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[str] = Counter()

    def append(self, fault: Fault) -> None:
        self.times[fault.kind] += 1
        if self.times[fault.kind] <= KEPT:
            super().append(fault)


def check(
    root: str | Path,
    categories: str | Sequence[str] | None = None,
    views: int | None = None,
    resolution: int | str | None = None,
    jsons: str = "realiad_jsons",
    pixels: bool = True,
    progress: bool = True,
    missing_views: str = "error",
) -> Report:
    """Check rows, files and pixels of some or all categories.

    Unlike `read_category` it does not stop at the first fault. It also decodes every image and
    mask (one thread per core), looks for masks without a defect and samples in both splits, and
    compares the totals with the published ones if all 30 categories of Real-IAD are there.

    Arguments:
        root: the folder that holds `realiad_jsons` and the images, or one of the two itself.
        categories: a name or several; None takes all.
        views: how many cameras there must be; None takes those that most samples have.
        resolution: 256, 512, 1024 or "raw"; None takes the only one there is.
        jsons: the folder of JSON files.
        pixels: decode the images; without it only rows and the files' names are checked.
        progress: show a bar per category.
        missing_views: "allow" counts them in a note instead of calling them faults.

    Raises:
        InputError: there is no data or no such category at all.
    """
    data = DataSet(root, resolution, jsons, missing_views)
    names = data.chosen(categories)
    files = [data.file(name) for name in names]
    faults = _Faults()
    lacking: list[str] = []
    doubtful: list[str] = []
    listed: list[tuple[str, str, str, str, int, bool]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file in files:
            before, labels = faults.times.total(), {}
            rows = read_rows(file, data.images, faults.append)
            if rows or faults.times.total() == before:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    read = group_rows(file, rows, views, data.allows_missing, faults.append)
                labels = {(s.split, s.name): s.label for s in (*read.train, *read.test)}
                lacking += [str(warning.message) for warning in told]
            for fault in _leaks(file, rows):
                faults.append(fault)
            for row in rows:
                defective = labels.get((row.split, f"{file.stem}_{row.sample}"), row.code != "OK")
                place = (file.stem, row.split, row.sample)
                listed.append((*place, row.code, row.camera, defective))
            if pixels:
                bar = tqdm(
                    pool.map(_look, rows),
                    desc=escape.terminal(file.stem),
                    total=len(rows),
                    unit="image",
                    leave=False,
                    disable=not progress,
                )
                for fault, note in chain.from_iterable(bar):
                    if fault is None:
                        doubtful.append(note)
                    else:
                        faults.append(fault)
    columns = ["category", "split", "sample", "code", "camera", "defective"]
    frame = pd.DataFrame(listed, columns=columns)
    samples = _samples(frame)
    notes = lacking + _notes(samples) + doubtful
    if set(FLIPS) <= set(names) and data.jsons.name == "realiad_jsons":
        for split, published in TOTALS.items():
            images = int((frame["split"] == split).sum())
            text = f"{images:,} {split} images are listed, {published:,} are published"
            if images == published:
                notes.append(text)
            else:
                mend = "copy the JSON files again from the source"
                faults.append(Fault(f"{data.jsons}: {text}; {mend}", "totals"))
    return Report(_counts(frame), samples, faults, notes, faults.times)


def _counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Images per category, split and code (rows) and camera (columns)."""
    keys = [frame["category"], frame["split"], frame["code"]]
    counts = pd.crosstab(keys, "C" + frame["camera"].astype(str))
    order = sorted(counts.columns, key=lambda name: int(name[1:]))
    return counts[order].assign(all=counts.sum(axis=1)).rename_axis(columns="images")


def _samples(frame: pd.DataFrame) -> pd.DataFrame:
    """Samples and images, and how many of them are defective, per category and split."""
    frame = frame.assign(bad=frame["code"] != "OK")
    samples = frame.groupby(["category", "split", "sample"])["defective"].any()
    parts = {
        "samples": samples.groupby(["category", "split"]),
        "images": frame.groupby(["category", "split"])["bad"],
    }
    columns = {name: part.size() for name, part in parts.items()}
    columns |= {f"defective {name}": part.sum() for name, part in parts.items()}
    table = pd.DataFrame(columns).astype(int)
    total = table.groupby("split").sum()
    total.index = pd.MultiIndex.from_product([["all"], total.index], names=table.index.names)
    return pd.concat([table, total])


def _leaks(file: Path, rows: list[Row]) -> list[Fault]:
    """Samples that stand in both splits."""
    train, test = ({row.sample for row in rows if row.split == s} for s in ("train", "test"))
    return [
        Fault(
            f"{file}: sample {file.stem}_{name} is in train and in test; take it out of one",
            "sample in both splits",
        )
        for name in sorted(train & test)
    ]


def _notes(samples: pd.DataFrame) -> list[str]:
    notes = []
    for category in samples.index.unique("category").drop("all", errors="ignore"):
        table = samples.loc[category]
        for split, row in table.iterrows():
            bad, total = row["defective samples"], row["samples"]
            if split == "train" and bad:
                notes.append(f"{category}: {bad} training samples are defective (labels unused)")
            if split == "test" and bad in (0, total):
                notes.append(f"{category}: all test samples are alike, so there is no AUROC")
        if "test" not in table.index:
            notes.append(f"{category}: the test split is empty, so there is nothing to evaluate")
    return notes


def _look(row: Row) -> list[tuple[Fault | None, str]]:
    """Decode an image and its mask: faults, and notes without one."""
    if row.image is None:
        return []  # its row has been found faulty
    found: list[tuple[Fault | None, str]] = []
    image: Path | None = row.image
    try:
        read_image(row.image)
    except Fault as fault:
        found.append((fault, ""))
        image = None
    try:
        why = None if row.mask is None else doubt(row.mask, image)
        if why == BLACK:
            mend = "paint the defect with 255, or label the view 'OK' without a mask"
            raise Fault(f"{row.mask} {why}: no pixel above 127; {mend}", "empty mask")
        if why is not None:
            found.append((None, f"{row.mask} {why}"))
    except Fault as fault:
        found.append((fault, ""))
    return found
