"""What a study takes, from what a step and an image take: hours of each stage, disk and memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from mfkit.experiment import Job, Needs, estimate, map_shape
from mfkit.study.rates import Rates

__all__ = ["STAGES", "Forecast", "disk"]

STAGES = ("features", "foreground", "training", "evaluation")


@dataclass(frozen=True)
class Forecast:
    """What is left to do for some jobs, if it goes on at the rates that were measured.

    Arguments:
        rates: see `Rates`.
        jobs: by name; those of a category stand together. Its features count for the first one.

    Attributes:
        seconds: of each stage of each job.
    """

    rates: Rates
    jobs: Mapping[str, Job]
    seconds: dict[str, dict[str, float]] = field(init=False)

    def __post_init__(self):
        seen, seconds = set(), {}
        for name, job in self.jobs.items():
            images = 0 if job.category.name in seen else _images(job)
            seen.add(job.category.name)
            seconds[name] = {
                "features": images * self.rates.features,
                "foreground": images * self.rates.foreground,
                "training": _training(job, self.rates),
                "evaluation": _evaluation(job, self.rates),
            }
        object.__setattr__(self, "seconds", seconds)

    def of(self, name: str) -> float:
        """Seconds of a job."""
        return sum(self.seconds[name].values())

    def __str__(self) -> str:
        rates, speeds = self.rates, self.rates.speeds.values()
        rate = {
            "features": f"{_ms([rates.features])} an image; to read one, {_ms([rates.reading])}",
            "foreground": f"{_ms([rates.foreground])} an image",
            "training": f"{_ms(s.step for s in speeds if s.step)} a step, "
            f"{_ms(s.epoch for s in speeds if s.step)} a checkpoint",
            "evaluation": f"{_ms(s.score for s in speeds)} a sample, "
            f"{_ms([rates.judging[1]])} to judge it",
        }
        lines = [f"{len(self.jobs)} trials are left; measured here, on {rates.device}:"]
        for stage in STAGES:
            hours = sum(each[stage] for each in self.seconds.values()) / 3600
            lines.append(f"  {stage:10} {hours:8.2f} h   {rate[stage]}")
        hours = sum(map(self.of, self.jobs)) / 3600
        return "\n".join([*lines, f"  {'together':10} {hours:8.2f} h   one after the other"])


def disk(jobs: Iterable[Job], keep: bool) -> Needs:
    """Disk and memory of all jobs.

    Arguments:
        jobs: those of a category stand together.
        keep: whether the features of all categories are there at the end; else those of two are at
            a time, one that trains and one that is prepared.
    """
    jobs = list(jobs)
    first = {job.category.name: job for job in reversed(jobs)}
    features = sorted((estimate([job]).features for job in first.values()), reverse=True)
    needs = estimate(jobs)
    return Needs(sum(features if keep else features[:2]), needs.results, needs.memory)


def _images(job: Job) -> int:
    """Images of a category whose features are still to be computed."""
    channels, height, width = map_shape(job.settings.backbone)
    left = 0
    for split, samples in job.category.splits.items():
        path = job.features.features(split)
        row = 2 * job.category.views * channels * height * width
        done = path.stat().st_size // row if path.exists() else 0
        left += sum(sum(sample.present) for sample in samples[done:])
    return left


def _training(job: Job, rates: Rates) -> float:
    speed, training = rates.speeds[job.settings], job.settings.training
    samples = len(job.category.train)
    samples -= int(samples * job.settings.held_out)
    seconds = (1 + training.folds) * (speed.fit[0] + samples * speed.fit[1])
    if job.settings.method == "flow":
        done = len(pd.read_csv(job.out.history)) if job.out.history.exists() else 0
        steps = max(1, samples // training.batch)
        seconds += max(0, training.epochs - done) * (steps * speed.step + speed.epoch)
    return seconds


def _evaluation(job: Job, rates: Rates) -> float:
    """Scores, agreement (which is two passes more), missing views, and what is written of them."""
    score, samples = rates.speeds[job.settings].score, len(job.category.test)
    agrees = job.settings.training.message_dropout > 0 and job.settings.graph != "empty"
    agrees &= job.settings.method == "flow"
    passes = 1 + 2 * agrees + job.category.views * job.without_views
    usual = 2 * len(job.category.train) * agrees
    judging = rates.judging[0] + samples * rates.judging[1]
    return (passes * samples + usual) * score + judging + rates.picture


def _ms(seconds: Iterable[float]) -> str:
    """A span of times in milliseconds, as people write them."""
    values = [f"{1e3 * each:,.3g}" if each < 1 else f"{1e3 * each:,.0f}" for each in seconds]
    if not values:
        return "-"
    low, high = min(values, key=_number), max(values, key=_number)
    return f"{low} ms" if low == high else f"{low} to {high} ms"


def _number(text: str) -> float:
    return float(text.replace(",", ""))
