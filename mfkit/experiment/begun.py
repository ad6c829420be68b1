"""A run that may have been begun before: what is done in its folder, and what is left to do."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from mfkit.data import Category, DataSet, read_category
from mfkit.errors import InputError
from mfkit.experiment.job import Job
from mfkit.experiment.result_files import adopt, settle, tidy
from mfkit.experiment.results import add_result, moved, open_results, same_data
from mfkit.experiment.run_folder import FeatureFolder, RunFolder
from mfkit.experiment.settings import Preset
from mfkit.files import clear_drafts

__all__ = ["Begun"]


class Begun:
    """The folder of a run, opened with its settings.

    Arguments:
        data: the data set.
        out: folder of the results.
        preset: the name of the preset, and the settings that were made of it.
        seed: of everything random, from 0 to 2^31 - 1.
        device: see `mfkit.experiment.choose_device`; "auto" is for workers elsewhere.
        features: folder of the feature stores; None is out/features.
        categories: names of those that this run trains.
        missing_views: see `mfkit.read_category`.
        without_views: see `Job`.

    Attributes:
        folder: that of the run.
        results: what results.json held when it was opened.

    Raises:
        InputError: the settings are not those of what lies there, or its data were others.
    """

    def __init__(
        self,
        data: DataSet,
        out: str | Path,
        preset: tuple[str, Preset],
        seed: int,
        device: str,
        features: str | Path | None,
        categories: list[str],
        missing_views: str = "error",
        without_views: bool = False,
    ):
        if not 0 <= seed < 2**31:
            raise InputError(f"'seed' should be from 0 to 2^31 - 1, got {seed}")
        self.data, self.folder = data, RunFolder(out)
        name, self.settings = preset
        self.seed, self.device, self.without_views = seed, device, without_views
        self._check_place()
        self.config = {"data": str(data.root), "preset": name, "seed": seed}
        self.config |= {"missing_views": missing_views, **asdict(self.settings)}
        self.results = open_results(self.folder, self.config, categories)
        self.features = Path(features or self.folder.features).resolve() / self.settings.backbone
        clear_drafts(self.folder.path)
        if self.results["config"]["data"] != str(data.root):
            self._check_moved()
            moved(self.folder, self.config)

    def job(self, category: Category) -> Job:
        """What has to be done for a category from the beginning."""
        whole = RunFolder(self.folder.path.resolve())
        return Job(
            category,
            self.data,
            self.settings,
            self.seed,
            self.device,
            whole.category(category.name),
            FeatureFolder(self.features / category.name),
            partial(add_result, whole, self.config, category.name),
            self.without_views,
        )

    def left(self, category: Category) -> Job | None:
        """The category's job, or None: its result is there, of the data as they are now.

        Raises:
            InputError: an image or a mask cannot be read.
        """
        job, row = self.job(category), self.results["categories"].get(category.name)
        if row is None or not _done(job, row, self.results["config"]["data"]):
            return job
        return None

    def now(self) -> dict:
        """What results.json holds by now."""
        return open_results(self.folder, self.config)

    def _check_place(self) -> None:
        """Results must not lie among the data: results.json would be taken for a category."""
        place, data = self.folder.path.resolve(), self.data
        if data.jsons.resolve() in (place, *place.parents) or place == data.root.resolve():
            raise InputError(
                f"--out {self.folder.path} lies in the data set {data.root}, where results would "
                "be taken for data: choose another folder"
            )

    def _check_moved(self) -> None:
        """Whether results were made of the same data, which lay elsewhere then.

        Raises:
            InputError: some were not; features of one data set must not replace those of another.
        """
        before, root = self.results["config"]["data"], str(self.data.root)
        rows: Mapping[str, dict] = self.results["categories"]
        for name, row in rows.items():
            if name in self.data.categories:
                category = read_category(self.data, name)
                if same_data(row, category, self.job(category).digests, root, before):
                    continue
            raise InputError(
                f"results.json is the result of another data: {name} in {root} is not what lay in "
                f"{before}: choose the same data, another --out, or delete the folder"
            )


def _done(job: Job, row: dict, before: str) -> bool:
    """Whether a result is there, trained as long as asked for, of the data as they are now.

    Arguments:
        job: what would be done else.
        row: of results.json.
        before: where the data lay then.
    """
    name, wrong = job.category.name, settle(job.out, row)
    if row["epochs"] < job.settings.training.epochs:
        return False
    sources = job.sources()
    if not same_data(row, job.category, job.digests, str(job.data.root), before):
        tqdm.write(f"{name}: its images, labels or defect masks have changed since it was done")
        return False
    if row.get("foreground") != sources["foreground"]:
        tqdm.write(f"{name}: its foreground masks have changed since it was done")
        return False
    if "files" not in row:  # of an earlier mfkit
        files = adopt(job.out)
        wrong = [] if files else [f"{job.out.path} lacks files of its result"]
        if files:
            job.keep({**row, **sources, "mark": job.mark(sources), "files": files})
    if wrong:
        tqdm.write(f"{name}: {'; '.join(wrong)}; it is made again")
        return False
    tidy(job.out)
    return True
