"""What a study consists of, and which files it leaves."""

from pathlib import Path
from typing import NamedTuple

from mfkit.experiment import RunFolder

__all__ = ["StudyFolder", "Trial"]


class Trial(NamedTuple):
    """One model of one category."""

    category: str
    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.category}, {self.variant}, seed {self.seed}"


class StudyFolder:
    """`--out` of a study: a run for each variant and seed, and a page of what they found.

    Attributes:
        features: shared by all runs.
        page: results, for a browser.
        pictures: what the page shows.
        lock: held by the process that works on the study.
        defects: a table for each category, how large the defects are.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.features = self.path / "features"
        self.page = self.path / "results.html"
        self.pictures = self.path / "pictures"
        self.lock = self.path / ".lock"
        self.defects = self.path / "defects"

    def run(self, variant: str, seed: int) -> RunFolder:
        """The run of a variant and seed."""
        return RunFolder(self.path / variant / f"seed-{seed}")
