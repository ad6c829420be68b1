"""From a folder of pictures to results: one category, or all of them, here or on many machines."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from mfkit import escape
from mfkit.data import Category, DataSet, read_category
from mfkit.errors import Diverged, InputError, cannot_write
from mfkit.experiment.cluster import run_jobs
from mfkit.experiment.cost import check_room, estimate
from mfkit.experiment.devices import choose_device
from mfkit.experiment.job import Job, backbone_on
from mfkit.experiment.result_files import adopt, settle, tidy
from mfkit.experiment.results import add_result, moved, open_results, same_data
from mfkit.experiment.run_folder import FeatureFolder, RunFolder
from mfkit.experiment.settings import choose_preset
from mfkit.files import clear_drafts

__all__ = ["run"]


def run(
    data: str | Path,
    out: str | Path,
    category: str | Sequence[str] | None = None,
    preset: str = "workshop",
    *,
    device: str = "auto",
    seed: int = 0,
    features: str | Path | None = None,
    missing_views: str = "error",
    cluster: str | None = None,
    **changes,
) -> dict:
    """Train and evaluate a flow on each category, but for what is done: see `RunFolder`.

    Arguments:
        data: the root of a data set in Real-IAD's layout.
        out: folder of the results.
        category: a name or several; None takes all categories.
        preset: a name of `mfkit.PRESETS`.
        device: "cpu", "cuda", "mps" or "auto", the best one there is.
        seed: of everything random, from 0 to 2^31 - 1.
        features: folder of the feature stores, to share them between runs, in a folder for each
            backbone and category; None is out/features.
        missing_views: see `mfkit.read_category`.
        cluster: None works here; see `mfkit.experiment.cluster.run_jobs` for the others.
        changes: fields of `mfkit.experiment.Preset` and `mfkit.Training` in place of the preset's
            own, such as epochs, graph, weight or held_out; None keeps the preset's.

    Returns:
        what results.json holds.

    Raises:
        InputError: data or arguments are wrong. With several categories the others are finished
            first.
        Diverged: the loss of the only category is not finite.
    """
    settings = choose_preset(preset, **changes)
    if not 0 <= seed < 2**31:
        raise InputError(f"'seed' should be from 0 to 2^31 - 1, got {seed}")
    root = os.path.abspath(data)  # for workers elsewhere; a link stays one
    place = device if cluster else str(choose_device(device))
    found, folder = DataSet(root, missing_views=missing_views), RunFolder(out)
    _check_out(found, folder)
    names = [category] if isinstance(category, str) else list(category or found.categories)
    for name in names:
        found.file(name)  # a misspelt name stops before the work starts
    config = {"data": root, "preset": preset, "seed": seed, "missing_views": missing_views}
    config |= asdict(settings)
    results = open_results(folder, config, names)
    shared = Path(features or folder.features).resolve() / settings.backbone
    whole = RunFolder(folder.path.resolve())

    def job_of(part: Category) -> Job:
        home = whole.category(part.name), FeatureFolder(shared / part.name)
        keep = partial(add_result, whole, config, part.name)
        return Job(part, found, settings, seed, place, *home, keep)

    clear_drafts(folder.path)
    if (before := results["config"]["data"]) != root:
        _check_moved(found, before, results, job_of)
        moved(folder, config)
    jobs, troubles = _to_do(found, names, results, job_of)
    if jobs:
        check_room(estimate(jobs.values()), folder.path, shared, "auto" if cluster else place)
    finished = run_jobs(jobs, cluster) if cluster and jobs else _here(jobs)
    for name, row in finished:
        if isinstance(row, Exception):
            troubles[name] = row
            _tell(name, row)
        else:
            results["categories"][name] = row
    _raise(troubles, alone=len(names) == 1)
    return open_results(folder, config)


def _check_out(data: DataSet, out: RunFolder) -> None:
    """Results must not lie among the data: results.json would be taken for a category."""
    place = out.path.resolve()
    if data.jsons.resolve() in (place, *place.parents) or place == data.root.resolve():
        raise InputError(
            f"--out {out.path} lies in the data set {data.root}, where results would be taken for "
            "data: choose another folder"
        )


def _tell(name: str, trouble: Exception) -> None:
    """Say what went wrong; where, if it is not the user's fault."""
    print(escape.terminal(f"{name}: {trouble}"))
    if not isinstance(trouble, InputError | Diverged):
        where = "".join(traceback.format_exception(trouble))
        print(escape.terminal(where), file=sys.stderr)


def _raise(troubles: Mapping[str, Exception], alone: bool) -> None:
    """Report what went wrong, if anything did, now that the other categories are finished."""
    if troubles and alone:
        raise next(iter(troubles.values()))
    if troubles:
        raise InputError("\n".join(f"{name}: {trouble}" for name, trouble in troubles.items()))


def _check_moved(
    data: DataSet, before: str, results: dict, job_of: Callable[[Category], Job]
) -> None:
    """Whether results were made of the same data, which lay elsewhere then.

    Raises:
        InputError: some were not; features of one data set must not replace those of another.
    """
    for name, row in results["categories"].items():
        if name in data.categories:
            category = read_category(data, name)
            digests = job_of(category).digests
            if same_data(row, category, digests, str(data.root), before):
                continue
        raise InputError(
            f"results.json is the result of another data: {name} in {data.root} is not what lay in "
            f"{before}: choose the same data, another --out, or delete the folder"
        )


def _to_do(
    data: DataSet, names: Sequence[str], results: dict, job_of: Callable[[Category], Job]
) -> tuple[dict[str, Job], dict[str, Exception]]:
    """Jobs for categories that have no result yet, and what is wrong with unreadable ones."""
    jobs, troubles = {}, {}
    for name in tqdm(names, desc="index"):
        try:
            job = job_of(read_category(data, name))
            row = results["categories"].get(name)
            if row is None or not _done(job, row, results["config"]["data"]):
                jobs[name] = job
        except InputError as error:
            tqdm.write(escape.terminal(f"{name}: {error}"))
            troubles[name] = error
    return jobs, troubles


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
    tqdm.write(f"{name}: done before")
    return True


def _here(jobs: dict[str, Job]) -> Iterator[tuple[str, dict | Exception]]:
    """Do one job after the other in this process."""
    for name, job in jobs.items():
        backbone_on(job.device, job.settings.backbone)  # without its weights no job can be done
        train, test = (len(samples) for samples in job.category.splits.values())
        print(f"{name}: {train} training and {test} test samples")
        try:
            yield name, job.run()
        except Exception as error:  # the other categories may fare better
            if cannot_write(error):
                raise
            yield name, error
