"""From a folder of pictures to results: one category, or all of them, here or on many machines."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from mfkit import escape
from mfkit.data import DataSet, read_category
from mfkit.errors import InputError
from mfkit.experiment.begun import Begun
from mfkit.experiment.cluster import run_jobs
from mfkit.experiment.cost import check_room, estimate
from mfkit.experiment.devices import choose_device
from mfkit.experiment.here import do_here, tell
from mfkit.experiment.job import Job
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
    """Train and evaluate a flow on each category, but for what is done: see `RunFolder`.

    Arguments:
        data: the root of a data set in Real-IAD's layout, or the folder of JSON files in it.
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
    place = device if cluster else str(choose_device(device))
    found = DataSet(os.path.abspath(data), missing_views=missing_views)  # for workers elsewhere
    names = found.chosen(category)  # a misspelt name stops before the work starts
    begun = Begun(found, out, (preset, settings), seed, place, features, names, missing_views)
    jobs, troubles = _to_do(begun, names)
    if jobs:
        needs = estimate(jobs.values())
        check_room(needs, begun.folder.path, begun.features, "auto" if cluster else place)
    finished = run_jobs(jobs, cluster) if cluster and jobs else do_here(jobs)
    for name, row in finished:
        if isinstance(row, Exception):
            troubles[name] = row
            tell(name, row)
        else:
            begun.results["categories"][name] = row
    _raise(troubles, alone=len(names) == 1)
    return begun.now()


def _to_do(begun: Begun, names: Sequence[str]) -> tuple[dict[str, Job], dict[str, Exception]]:
    """Jobs for categories that have no result yet, and what is wrong with unreadable ones."""
    jobs, troubles = {}, {}
    for name in tqdm(names, desc="index"):
        try:
            if job := begun.left(read_category(begun.data, name)):
                jobs[name] = job
            else:
                tqdm.write(f"{name}: done before")
        except InputError as error:
            tqdm.write(escape.terminal(f"{name}: {error}"))
            troubles[name] = error
    return jobs, troubles


def _raise(troubles: Mapping[str, Exception], alone: bool) -> None:
    """Report what went wrong, if anything did, now that the other categories are finished."""
    if troubles and alone:
        raise next(iter(troubles.values()))
    if troubles:
        raise InputError("\n".join(f"{name}: {trouble}" for name, trouble in troubles.items()))
