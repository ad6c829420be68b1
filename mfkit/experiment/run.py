"""From a folder of pictures to results: one category, or all of them, here or on many machines."""

import os
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm.auto import tqdm

from mfkit.data import Category, categories, data_fingerprint, find_category, read_category
from mfkit.errors import Diverged, InputError, cannot_write
from mfkit.experiment.cluster import run_jobs
from mfkit.experiment.cost import check_room, estimate
from mfkit.experiment.devices import choose_device
from mfkit.experiment.job import Job, backbone_on
from mfkit.experiment.results import add_result, open_results
from mfkit.experiment.settings import choose_preset

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
    """Train and evaluate a flow on each category; what is done already is not done again.

    Leaves `out/results.json`, and for every category a folder with model.pt, scores.csv, maps.npy,
    overview.png, history.csv and checkpoint.pt.

    Arguments:
        data: the root of a data set in Real-IAD's layout.
        out: folder of the results.
        category: a name or several; None takes all categories.
        preset: a name of `mfkit.experiment.settings.PRESETS`.
        device: "cpu", "cuda", "mps" or "auto", the best one there is.
        seed: of everything random.
        features: folder of the feature stores, to share them between runs, in a folder for each
            backbone and category; None is out/features.
        missing_views: see `mfkit.read_category`.
        cluster: None works here; see `mfkit.experiment.cluster.run_jobs` for the others.
        changes: of the preset: epochs, graph, message, foreground, view_dropout, amp, micro_batch;
            see `mfkit.experiment.settings.choose_preset`.

    Returns:
        what results.json holds.

    Raises:
        InputError: data or arguments are wrong. With several categories the others are finished
            first.
        Diverged: the loss of the only category is not finite.
    """
    settings = choose_preset(preset, **changes)
    data, out = Path(os.path.abspath(data)), Path(out)  # for workers; a link stays one
    features = Path(features or out / "features").resolve() / settings.backbone
    names = [category] if isinstance(category, str) else list(category or categories(data))
    for name in names:
        find_category(data, name)  # a misspelt name stops before the work starts
    place = device if cluster else str(choose_device(device))
    config = {
        "data": str(data),
        "preset": preset,
        "seed": seed,
        "missing_views": missing_views,
        **asdict(settings),
    }
    results = open_results(out, config, names)
    read, troubles = _to_do(data, names, missing_views, results)
    jobs = {
        name: Job(part, data, settings, seed, place, out.resolve() / name, features / name)
        for name, part in read.items()
    }
    if jobs:
        check_room(estimate(jobs.values()), out, features, "auto" if cluster else place)
    finished = run_jobs(jobs, cluster) if cluster and jobs else _here(jobs)
    for name, row in finished:
        if isinstance(row, Exception):
            troubles[name] = row
            print(f"{name}: {row}")
            if not isinstance(row, InputError | Diverged):  # not the user's fault: show where
                traceback.print_exception(row)
        else:
            results = add_result(out, config, name, row)
    if len(names) == 1 and troubles:
        raise troubles.popitem()[1]
    if troubles:
        raise InputError("\n".join(f"{name}: {trouble}" for name, trouble in troubles.items()))
    return results


def _to_do(
    data: Path, names: Sequence[str], missing_views: str, results: dict
) -> tuple[dict[str, Category], dict[str, Exception]]:
    """The categories that have no result yet, and what is wrong with those that cannot be read."""
    read, troubles = {}, {}
    for name in tqdm(names, desc="index"):
        try:
            category = read_category(data, name, missing_views=missing_views)
            if not _done(results["categories"].get(name), category):
                read[name] = category
        except InputError as error:
            tqdm.write(f"{name}: {error}")
            troubles[name] = error
    return read, troubles


def _done(row: dict | None, category: Category) -> bool:
    """Whether there is a result of this category, of the data as they are now."""
    if row is None:
        return False
    done = row.get("data") == data_fingerprint(category)
    tqdm.write(
        f"{category.name}: done before"
        if done
        else f"{category.name}: its images, labels or defect masks have changed since it was done"
    )
    return done


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
