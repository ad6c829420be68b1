"""A whole study: every category, variant and seed, resumed where it stopped."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from mfkit.data import Category, DataSet, read_category
from mfkit.errors import InputError
from mfkit.experiment import (
    Begun,
    Job,
    check_room,
    choose_device,
    choose_preset,
    do_here,
    run_jobs,
    tell,
)
from mfkit.files import locked
from mfkit.study.clock import Clock
from mfkit.study.forecast import Forecast, disk
from mfkit.study.page import Page
from mfkit.study.rates import TRIAL, measure
from mfkit.study.study_folder import StudyFolder, Trial
from mfkit.study.variants import choose_variants, seeds_of, settings_of

__all__ = ["run_study"]

EVERY = 30  # seconds between two drafts of the page, at least


def run_study(
    data: str | Path,
    out: str | Path,
    category: str | Sequence[str] | None = None,
    preset: str = "paper",
    *,
    seeds: Sequence[int] = (0, 1, 2),
    variants: Sequence[str] | None = None,
    device: str = "auto",
    missing_views: str = "error",
    cluster: str | None = None,
    keep_features: bool = False,
    plan_only: bool = False,
    **changes,
) -> pd.DataFrame | None:
    """Train and evaluate Multi-Flow and its controls on each category, but for what is done.

    Before it starts it measures a trial step and some trial images on this machine, and prints what
    the work takes. While it works `out/results.html` grows; see `StudyFolder`. The same call goes
    on after any interruption.

    Arguments:
        data, category, device, missing_views, cluster: as in `mfkit.run`.
        out: folder of the study.
        preset: a name of `mfkit.PRESETS`: that of Multi-Flow; the controls follow from it.
        seeds: of everything random; a Gaussian takes the first one only.
        variants: names of `VARIANTS`; None takes all.
        keep_features: keep the features of a category when all its trials are done; they are
            deleted otherwise.
        plan_only: print the plan and do nothing.
        changes: as in `mfkit.run`, for all variants.

    Returns:
        a row for each trial: category, variant, seed and metrics in percent; None for a plan.

    Raises:
        InputError: data or arguments are wrong; or some trials failed, when the others are done.
    """
    names, seeds = choose_variants(variants), list(dict.fromkeys(seeds))
    if not seeds:
        raise InputError("'seeds' should hold at least one number, got none")
    settings = choose_preset(preset, **changes)
    place = device if cluster else str(choose_device(device))
    found, folder = DataSet(os.path.abspath(data), missing_views=missing_views), StudyFolder(out)
    folder.path.mkdir(parents=True, exist_ok=True)
    with locked(folder.lock, f"the study {folder.path}"):
        read, troubles = _read(found, category)
        runs = {
            (variant, seed): Begun(
                found,
                folder.run(variant, seed).path,
                (preset, settings_of(variant, settings, max(part.views for part in read))),
                seed,
                place,
                folder.features,
                [part.name for part in read],
                missing_views,
                without_views=seed == seeds[0] and variant != "gaussian",
            )
            for variant in names
            for seed in seeds_of(variant, seeds)
        }
        planned = [Trial(part.name, *run) for part in read for run in runs]
        jobs = _left(runs, read, planned, troubles)
        print(f"{len(planned) - len(jobs)} of {len(planned)} trials are done")
        page = Page(folder, read, planned)
        if jobs:
            forecast = _forecast(jobs, "auto" if cluster else place, folder)
            print(forecast)
        if plan_only:
            return None
        if jobs:
            needs = disk(jobs.values(), keep_features or cluster is not None)
            check_room(needs, folder.path, folder.features, "auto" if cluster else place)
            work = run_jobs(jobs, cluster) if cluster else do_here(jobs)
            _do(work, jobs, forecast, page, troubles, keep_features)
        if not keep_features:
            _clear(runs, read, troubles)
        rows = page.write()
    print(f"results: {folder.page}")
    if troubles:  # what is wrong with a category is told by each of its trials
        told = (f"{name.split(',')[0]}: {trouble}" for name, trouble in troubles.items())
        raise InputError("\n".join(dict.fromkeys(told)))
    return rows


def _read(data: DataSet, category: str | Sequence[str] | None) -> tuple[list[Category], dict]:
    """The categories that can be read, and what is wrong with the others."""
    read, troubles = [], {}
    for name in tqdm(data.chosen(category), desc="index"):
        try:
            read.append(read_category(data, name))
        except InputError as error:
            troubles[name] = error
            tell(name, error)
    if not read:
        raise next(iter(troubles.values()))
    return read, troubles


def _left(
    runs: Mapping[tuple[str, int], Begun],
    read: Sequence[Category],
    planned: Sequence[Trial],
    troubles: dict[str, Exception],
) -> dict[str, Job]:
    """Jobs of trials that have no result yet, category by category."""
    categories, jobs = {part.name: part for part in read}, {}
    for trial in tqdm(planned, desc="what is done"):
        if trial.category not in troubles:
            try:
                job = runs[trial.variant, trial.seed].left(categories[trial.category])
            except InputError as error:
                troubles[trial.category] = error
                tell(trial.category, error)
            else:
                jobs |= {str(trial): job} if job else {}
    return jobs


def _forecast(jobs: Mapping[str, Job], device: str, folder: StudyFolder) -> Forecast:
    """Measured here, on the first category of which some images can be read.

    What is wrong with others is told in their turn.
    """
    for left in folder.path.glob(f"{TRIAL}*"):  # of a killed process
        shutil.rmtree(left, ignore_errors=True)
    print("a trial step and some trial images tell how long it will take ...", flush=True)
    settings = list(dict.fromkeys(job.settings for job in jobs.values()))
    first = {job.category.name: job for job in reversed(jobs.values())}
    *others, last = reversed(first.values())
    for job in others:
        with suppress(InputError):
            return Forecast(measure(job, settings, device, folder.path), jobs)
    return Forecast(measure(last, settings, device, folder.path), jobs)


def _do(
    work: Iterator[tuple[str, dict | Exception]],
    jobs: Mapping[str, Job],
    forecast: Forecast,
    page: Page,
    troubles: dict[str, Exception],
    keep_features: bool,
) -> None:
    """Let the trials come in; write the page as categories are finished."""
    clock, written = Clock(forecast, len(page.planned) - len(jobs)), time.monotonic()
    left = Counter(job.category.name for job in jobs.values())
    for name, row in work:
        job = jobs[name]
        clock.end(name)
        if isinstance(row, Exception):
            troubles[name] = row
            tell(name, row)
            continue
        print(f"{name}: S-AUROC {100 * row['s_auroc']:.1f}; {clock}", flush=True)
        left[job.category.name] -= 1
        if not left[job.category.name]:
            if not keep_features:
                job.features.clear()
            if time.monotonic() > written + EVERY:
                page.write(str(clock))
                written = time.monotonic()
    print(clock.summary())


def _clear(
    runs: Mapping[tuple[str, int], Begun], read: Sequence[Category], troubles: Mapping
) -> None:
    """Delete the features that an earlier, killed process left of categories that are done."""
    failed = {name.split(",")[0] for name in troubles}
    for part in read:
        if part.name not in failed:
            next(iter(runs.values())).job(part).features.clear()
