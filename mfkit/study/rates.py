"""What this machine takes for a step and for an image, measured by doing some of them."""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from mfkit import plot
from mfkit.data import Sample, doubts
from mfkit.errors import InputError
from mfkit.experiment import (
    Job,
    Preset,
    Scored,
    backbone_on,
    choose_device,
    compare,
    map_shape,
    new_flow,
    score_split,
    together,
)
from mfkit.experiment.train import train
from mfkit.features import READERS, FeatureStore, ForegroundStore, Split, load_masks
from mfkit.flow import Model
from mfkit.score import Scores

__all__ = ["Rates", "Speed", "measure"]

TRIAL = ".trial-"  # begins the name of a folder that is only for this
IMAGES = 40  # that are read for a trial
EPOCHS = 3  # of one step each, in a trial of training; the first one warms up
FEW, MORE = 8, 24  # samples to which a trial fits, or which it judges


@dataclass(frozen=True)
class Speed:
    """Seconds that a variant takes.

    Attributes:
        fit: (whole, a training sample), of what is fitted before or in place of training, and in
            each of its folds.
        step: of training, a batch; 0 for what is only fitted.
        epoch: what an epoch takes besides: its checkpoint.
        score: a sample.
    """

    fit: tuple[float, float]
    step: float
    epoch: float
    score: float


@dataclass(frozen=True)
class Rates:
    """Seconds that this machine takes.

    Attributes:
        device: where it computes, in words.
        reading: an image, decoded and resized.
        features: an image, from its file to its features on the disk.
        foreground: an image's mask; 0 if there are none.
        judging: (whole, a test sample), its maps against its masks.
        picture: the overview.
        speeds: of each variant, by its settings.
    """

    device: str
    reading: float
    features: float
    foreground: float
    judging: tuple[float, float]
    picture: float
    speeds: dict[Preset, Speed]


def measure(job: Job, variants: Sequence[Preset], device: str, folder: Path) -> Rates:
    """Do a little of everything.

    Arguments:
        job: on samples of its category.
        variants: settings that are tried.
        device: see `mfkit.experiment.choose_device`.
        folder: on the disk that will hold the results.

    Raises:
        InputError: some samples cannot be read, or all test samples are of one kind.
    """
    device = str(choose_device(device))
    whole, views = job.category, job.category.views
    samples = _spread([*whole.train, *whole.test], max(2, IMAGES // views))
    kinds = [[s for s in whole.test if s.label == label] for label in (True, False)]
    if not all(kinds):
        raise InputError(f"{whole.name}: the test split should hold sound and defective samples")
    judged = [kind[n % len(kind)] for n in range(MORE) for kind in kinds][:MORE]
    with tempfile.TemporaryDirectory(prefix=TRIAL, dir=folder) as place:
        features, foreground = _images(job, samples, device, Path(place))
        speeds, drawn = {}, _drawn(job, judged)
        for number, settings in enumerate(variants):
            flow = new_flow(settings, views, drawn.features.shape[2:]).to(device)
            speeds[settings] = _speed(flow, settings, drawn, Path(place) / f"{number}")
        scored = score_split(flow.eval(), drawn, amp=settings.training.amp)
        judging = _line(lambda n: (doubts(judged[:n]), compare(*_first(n, drawn, scored))))
        draw = partial(plot.overview, judged, scored.scores)
        picture = _seconds(lambda: plot.save(draw(), Path(place) / "overview.png"))
    reading = _reading(job, samples)
    return Rates(device, reading, features, foreground, judging, picture, speeds)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Some samples from all over."""
    return list(samples[:: max(1, len(samples) // count)][:count])


def _seconds(call: Callable) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _line(call: Callable[[int], object]) -> tuple[float, float]:
    """Seconds that do not depend on the number of samples, and those of each."""
    few, more = (_seconds(partial(call, n)) for n in (FEW, MORE))
    each = max(0.0, more - few) / (MORE - FEW)
    return max(0.0, few - FEW * each), each


def _images(job: Job, samples: list[Sample], device: str, place: Path) -> tuple[float, float]:
    """Seconds of an image's features, and of its mask, after a sample that warms up."""
    backbone, settings = backbone_on(device, job.settings.backbone), job.settings
    masks = load_masks(settings.foreground, job.data, job.category.name)
    shape = map_shape(settings.backbone)[1:]
    build = partial(FeatureStore.build, backbone=backbone, batch=together(backbone), label="trial")
    build(place / "warm.f16", samples[:1])
    count, foreground = sum(sum(sample.present) for sample in samples[1:]), 0.0
    features = _seconds(lambda: build(place / "trial.f16", samples[1:]))
    if masks is not None:
        fill = partial(ForegroundStore.build, masks=masks, height=shape[0], width=shape[1])
        foreground = _seconds(lambda: fill(place / "trial.bool", samples[1:], label="trial"))
    return features / count, foreground / count


def _reading(job: Job, samples: list[Sample]) -> float:
    """Seconds to decode an image, in as many threads as the features take."""
    size = backbone_on(job.device, job.settings.backbone).size
    views = [(sample, view) for sample in samples for view in range(len(sample.images))]
    with ThreadPoolExecutor(READERS) as pool:
        seconds = _seconds(
            lambda: list(pool.map(lambda place: place[0].image(place[1], size), views))
        )
    return seconds / len(views)


def _drawn(job: Job, samples: list[Sample]) -> Split:
    """Samples with features that are drawn: numbers of any kind take as long."""
    shape = (len(samples), job.category.views, *map_shape(job.settings.backbone))
    return Split(samples, torch.rand(shape, generator=torch.Generator().manual_seed(0)))


def _speed(flow: Model, settings: Preset, drawn: Split, place: Path) -> Speed:
    """Fit, train and score."""
    few = drawn.features

    def fit(n: int) -> None:
        flow.fit(few[[index]] for index in range(n))

    whole, each = first = _line(fit)
    step = epoch = 0.0
    if settings.training.folds and settings.method != "neighbours" and flow.first_block:
        again = _line(lambda n: flow.refit(few[[index]] for index in range(n)))
        folds = settings.training.folds
        first = (whole + folds * again[0], each + (folds - 1) * again[1])
    if settings.method == "flow":
        size = min(settings.training.batch, len(drawn))
        training = replace(settings.training, epochs=EPOCHS, batch=size, folds=0)
        start = time.perf_counter()
        steps = train(flow, drawn.part(range(size)), training, place)["seconds"]
        besides = time.perf_counter() - start - steps.sum() - whole - size * each
        step, epoch = steps[1:].median(), max(0.0, besides) / EPOCHS
    flow.eval()
    score = partial(score_split, flow, drawn, amp=settings.training.amp)
    score()
    return Speed(first, step, epoch, _seconds(score) / len(drawn))


def _first(n: int, split: Split, scored: Scored) -> tuple[Split, Scored]:
    """The first samples and their scores."""
    scores = Scores(*(part[:n] for part in scored.scores))
    return split.part(range(n)), Scored(scores, None, scored.present[:n], scored.nats[:n])
