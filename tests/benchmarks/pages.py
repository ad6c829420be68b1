"""What benchmarks keep and write: rows of results in a file, tables in a page between two marks."""

import json
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from filelock import FileLock

from mfkit.files import whole_file


def fill(page: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- NAME: begin ... -->` and `<!-- NAME: end -->`."""
    marks = rf"(<!-- {name}: begin.*?-->\n).*?(<!-- {name}: end -->)"
    new, times = re.subn(marks, lambda m: f"{m[1]}{text}\n{m[2]}", page.read_text(), flags=re.S)
    if times != 1:
        raise SystemExit(f"{page}: {times} places marked {name!r}, one is needed")
    with whole_file(page) as draft:
        draft.write_text(new)


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def spread(values, digits: int = 1) -> str:
    """Mean and standard deviation over seeds; the mean alone if they do not differ."""
    mean = f"{values.mean():.{digits}f}"
    return f"{mean} ± {values.std():.{digits}f}" if len(set(values)) > 1 else mean


def whole_groups(rows: pd.DataFrame, by: str, needed: Sequence[str]) -> pd.DataFrame:
    """Rows of the groups that have every category and seed; others do not compare with them.

    Without one of the groups that are needed there is no page: that is said before it is written.
    """
    if rows.empty:
        raise SystemExit("no page yet: there are no runs; train first")
    due = set(zip(rows["category"], rows["seed"], strict=True))

    def whole(group: pd.DataFrame) -> bool:
        lacking = due - set(zip(group["category"], group["seed"], strict=True))
        if lacking:
            print(f"left out: {group[by].iloc[0]}, runs are missing: {sorted(lacking)}")
        return not lacking

    rows = rows.groupby(by, sort=False).filter(whole)
    if lacking := [name for name in needed if name not in set(rows[by])]:
        raise SystemExit(f"no page yet: the runs of {', '.join(lacking)} are not all there")
    return rows


def seed_table(rows: pd.DataFrame, by: list[str], columns: dict[str, tuple[str, int]]) -> str:
    """A line for each group; mean and spread over seeds of the mean over categories.

    Arguments:
        rows: with the columns `by` and, if runs were repeated, "seed".
        by: columns that tell one group from another.
        columns: for each further column its title and how many digits to show.
    """
    lines = []
    for key, group in rows.groupby(by, sort=False):
        if "seed" in group:
            group = group.groupby("seed").mean(numeric_only=True)
        lines.append([*key, *(spread(group[c], digits) for c, (_, digits) in columns.items())])
    return markdown([*by, *(title for title, _ in columns.values())], lines)


def slug(title: str) -> str:
    """A title as the name of a folder."""
    return title.replace(" ", "-").replace(",", "")


def machine() -> str:
    """The processor's name, where the system tells it, and whether it multiplies bfloat16 fast."""
    cpus = Path("/proc/cpuinfo")
    told = cpus.read_text() if cpus.exists() else ""
    names = re.findall(r"model name\s*: (.*)", told) or [platform.machine()]
    return f"{names[0]} {'with' if 'amx_bf16' in told else 'without'} AMX"


class Rows:
    """Rows of results in one JSON file, each kept at once, so that nothing is measured twice.

    Several processes may add rows.

    Arguments:
        path: of the file.
        command: that makes it again.
        order: what tells one row from another, and in which order its values stand in the file.
    """

    def __init__(self, path: Path, command: str, order: dict[str, Sequence]):
        self.path, self.command, self.order = path, command, order

    def read(self, part: str) -> list[dict]:
        """All rows of a part of the file."""
        return self._read().get(part, [])

    def once(self, part: str, measure: Callable[..., dict], **key) -> None:
        """Measure and keep the row of this key, unless there is one."""
        if key not in map(self._key, self.read(part)):
            self.keep(part, **key, **measure(**key))

    def keep(self, part: str, **row) -> None:
        """Add a row, in place of an older one of its key."""
        row = {name: round(v, 4) if isinstance(v, float) else v for name, v in row.items()}
        with FileLock(self.path.with_name(f".{self.path.stem}.lock")):
            results = self._read()
            rows = [old for old in self.read(part) if self._key(old) != self._key(row)] + [row]
            results[part] = sorted(rows, key=self._place)
            if part == "pace":  # the rest does not depend on it
                results["machine"] = machine()
            with whole_file(self.path) as draft:
                draft.write_text(json.dumps(results, indent=1) + "\n")
        print(self._key(row), flush=True)

    def make(self, step: str, by: str, train: Callable, pace: Callable, page: Callable) -> None:
        """Train, pace or page, whichever `step` says; "all": what the file lacks, then the page.

        `by` is the name of what has a pace.
        """
        if step in ("all", "train"):
            train()
        lacking = set(self.order[by]) - {row[by] for row in self.read("pace")}
        if step == "pace" or (step == "all" and lacking):
            pace()
        if step == "page" and lacking:
            raise SystemExit(f"no page yet, measure the pace first: {', '.join(sorted(lacking))}")
        if step in ("all", "page"):
            page()
            fill(self.path.with_suffix(".md"), "machine", f"Measured on {self._read()['machine']}.")

    def _read(self) -> dict:
        if self.path.exists():
            return json.loads(self.path.read_text())
        return {"command": self.command, "machine": machine()}

    def _key(self, row: dict) -> dict:
        return {name: row[name] for name in self.order if name in row}

    def _place(self, row: dict) -> list[int]:
        return [list(self.order[name]).index(value) for name, value in self._key(row).items()]
