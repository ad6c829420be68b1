"""One category end to end: features, foreground, training, evaluation, files."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mfkit import escape, plot
from mfkit.data import (
    Category,
    DataSet,
    Digests,
    data_fingerprint,
    digest_lines,
)
from mfkit.errors import InputError
from mfkit.experiment.beforehand import check_splits
from mfkit.experiment.cross_fit import CrossFitted
from mfkit.experiment.description import HeldOut, describe
from mfkit.experiment.devices import choose_device
from mfkit.experiment.evaluation import (
    Scored,
    compare,
    lost_views,
    score_split,
    usual_agreement,
)
from mfkit.experiment.result_files import clear_stages, files_of, mark_of, settle
from mfkit.experiment.results import versions
from mfkit.experiment.run_folder import CategoryFolder, FeatureFolder
from mfkit.experiment.settings import Preset, foreground_kind, new_flow
from mfkit.experiment.train import train
from mfkit.features import (
    Backbone,
    FeatureStore,
    ForegroundStore,
    Masks,
    Split,
    load_backbone,
    load_masks,
)
from mfkit.files import clear_drafts, locked, whole_file
from mfkit.flow import Model, save_flow
from mfkit.score import combined

__all__ = ["Job", "backbone_on", "together"]

PIXELS = 4 * 256**2  # a view: what goes through the backbone together, for the sake of memory


@dataclass(frozen=True)
class Job:
    """What one process has to do for one category; it can be sent to another machine.

    Attributes:
        category: its samples.
        data: the data set that it is part of.
        settings: of the flow and its training.
        seed: of everything random.
        device: see `mfkit.experiment.choose_device`.
        out: where the category's results go.
        features: where its features and masks go.
        keep: called with the new row of results.json while the category is locked; gives back the
            row that holds from now on. None: the new one.
        without_views: also measure what is found if views are missing, see `lost_views`.
    """

    category: Category
    data: DataSet
    settings: Preset
    seed: int
    device: str
    out: CategoryFolder
    features: FeatureFolder
    keep: Callable[[dict], dict] | None = None
    without_views: bool = False

    @cached_property
    def digests(self) -> Digests:
        """Of the category's files; kept beside the features."""
        return Digests(self.data.images, self.features.digests)

    def sources(self) -> dict[str, str | None]:
        """What the result is made from: fingerprints of the data, and of masks out of a folder."""
        data, masks = data_fingerprint(self.category, self.digests), None
        if foreground_kind(self.settings.foreground) != self.settings.foreground:
            masks = load_masks(self.settings.foreground, self.data, self.category.name)
            splits = self.category.splits.values()
            masks = digest_lines(masks.fingerprint(samples, self.digests) for samples in splits)
        return {"data": data, "foreground": masks}

    def mark(self, sources: dict[str, str | None]) -> str:
        """A short digest of all that decides the result: settings, seed, epochs, sources."""
        training = self.settings.training
        settings = {**asdict(self.settings), "training": training.identity()}
        settings["foreground"] = foreground_kind(self.settings.foreground)
        return mark_of(settings, self.seed, training.epochs, sources)

    def prepare(self) -> None:
        """Make what all jobs of the category share: its features and foreground masks.

        Raises:
            InputError: data or settings are wrong.
        """
        check_splits(self.category)
        masks = load_masks(self.settings.foreground, self.data, self.category.name)
        self.features.path.mkdir(parents=True, exist_ok=True)
        clear_drafts(self.features.path)
        height, width = self._features()["train"].shape[-2:]
        if masks is not None:
            self._foreground(masks, height, width)

    def run(self) -> dict:
        """Do what is not done yet, and write the files of a `CategoryFolder`.

        A second process that is given the same job waits until the first one has ended. The files
        of an earlier result stay until those of the new one are all written.

        Returns:
            the category's row of results.json.

        Raises:
            InputError: data or settings are wrong.
            Diverged: training failed.
        """
        check_splits(self.category)
        self.out.path.mkdir(parents=True, exist_ok=True)
        with locked(self.out.lock, self.category.name):
            for folder in (self.out.path, self.features.path):
                clear_drafts(folder)
            sources = self.sources()
            mark = self.mark(sources)
            stage, draft = self.out.stage(mark), self.out.stage(f"{mark}-unfinished")
            kept = False
            try:
                row = self._run(sources, draft)
                clear_stages([stage])
                draft.path.rename(stage.path)  # where others look for a row's files: all at once
                kept = True  # from now on its files must not be lost, unless the row is refused
                row = self.keep(row) if self.keep else row
            except BaseException as error:
                if not kept or isinstance(error, InputError):
                    clear_stages([draft, stage])
                raise
            settle(self.out, row)
            clear_stages(self.out.stages)
            return row

    def _run(self, sources: dict[str, str | None], stage: CategoryFolder) -> dict:
        """Write the files of the result into a folder of their own; its row."""
        seconds = {}
        clear_stages([stage])
        masks = load_masks(self.settings.foreground, self.data, self.category.name)
        with _timed(seconds, "features"):
            features = self._features()
        shape = features["train"].shape[2:]
        foreground = {"train": None, "test": None}
        if masks is not None:
            with _timed(seconds, "foreground"):
                foreground = self._foreground(masks, *shape[1:])
        splits = {
            name: Split(samples, features[name], foreground[name])
            for name, samples in self.category.splits.items()
        }
        kept, held = splits["train"].hold_out(self.settings.held_out)
        flow = self._flow(shape)
        folds = 0 if self.settings.method == "neighbours" else self.settings.training.folds
        apart = CrossFitted(flow, kept, folds) if folds else None
        seconds["training"] = self._learn(flow, kept, apart)
        save_flow(flow, stage.model)
        with _timed(seconds, "evaluation"):
            amp, usual, units = self.settings.training.amp, None, None
            if self._agrees(flow):
                if apart is None:
                    usual = usual_agreement(flow, kept, amp=amp)
                else:
                    units, usual = apart.units(amp)
            test = score_split(flow, splits["test"], amp=amp, usual=usual)
            if held is not None:  # what no part of the flow has seen
                units = (unseen := score_split(flow, held, amp=amp, usual=usual)).both()
            joined = None if units is None else combined(test.both(), units)
            metrics = compare(splits["test"], test, joined)
            if self.without_views:
                self._table(lost_views(flow, splits["test"], amp), stage.lost_views)
        backbone = backbone_on(self.device, self.settings.backbone)
        calibration = None if held is None else HeldOut.of(held.samples, unseen)
        describe(stage, self.category, self.data, self.settings, backbone, usual, test, calibration)
        if self.settings.method == "neighbours":
            del metrics["nll"]  # distances are no likelihood
        self._write(splits["test"], test, stage.scores, joined)
        if held is not None:
            self._write(held, unseen, stage.held_out)
        with whole_file(stage.maps) as draft:
            np.save(draft, test.scores.maps.numpy())
        title = f"{self.category.name}, S-AUROC {metrics['s_auroc']:.3f}"
        figure = plot.overview(self.category.test, test.scores, title, ranked=joined)
        plot.save(figure, stage.overview)
        row = {**metrics, "samples": len(self.category.test), **sources, "seconds": seconds}
        return {
            **row,
            "epochs": self.settings.training.epochs,
            "mark": self.mark(sources),
            "versions": versions(),
            "files": files_of(stage.path),
        }

    def _learn(self, flow: Model, split: Split, apart: CrossFitted | None) -> float:
        """Train a flow, or fit what takes its place; seconds."""
        if self.settings.method == "flow":
            history = train(flow, split, self.settings.training, self.out.path, self.seed, apart)
            return round(float(history["seconds"].sum()), 1)
        with _timed(seconds := {}, "training"):
            flow.fit(split[[index]][0] for index in range(len(split)))
        flow.eval()
        return seconds["training"]

    def _agrees(self, flow: Model) -> bool:
        """Has the flow messages, and does it know what silence is?"""
        learned = self.settings.method == "flow" and self.settings.message != "none"
        knows = self.settings.training.message_dropout > 0 or not learned
        return knows and bool(flow.graph.possible_edges)

    def _features(self) -> dict[str, FeatureStore]:
        backbone = backbone_on(self.device, self.settings.backbone)
        batch = together(backbone)
        return {
            name: FeatureStore.build(
                self.features.features(name),
                samples,
                backbone,
                batch,
                f"features, {name}",
                self.digests,
            )
            for name, samples in self.category.splits.items()
        }

    def _foreground(self, masks: Masks, height: int, width: int) -> dict[str, ForegroundStore]:
        return {
            name: ForegroundStore.build(
                self.features.foreground(name, masks.name),
                samples,
                masks,
                height,
                width,
                label=f"foreground, {name}",
                digests=self.digests,
            )
            for name, samples in self.category.splits.items()
        }

    def _flow(self, shape: Sequence[int]) -> Model:
        torch.manual_seed(self.seed)
        flow = new_flow(self.settings, self.category.views, shape, self.seed)
        return flow.to(choose_device(self.device))

    def _write(
        self, split: Split, scored: Scored, path: Path, joined: Tensor | None = None
    ) -> None:
        """A row for each sample: label, score; agreement and both joined, if any; image scores."""
        samples = split.samples
        frame = pd.DataFrame(scored.scores.images.numpy(), columns=samples[0].view_names)
        frame.insert(0, "sample", [escape.cell(sample.name) for sample in samples])
        frame.insert(1, "label", [int(sample.label) for sample in samples])
        frame.insert(2, "score", scored.scores.samples.numpy())
        if scored.agreement is not None:
            frame.insert(3, "agreement", scored.agreement.samples.numpy())
        if joined is not None:
            frame.insert(4, "combined", joined.numpy())
        self._table(frame, path)

    def _table(self, frame: pd.DataFrame, path: Path) -> None:
        with whole_file(path) as draft:
            frame.to_csv(draft, index=False)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Note how long the block took."""
    start = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - start, 1)


@cache
def backbone_on(device: str, name: str) -> Backbone:
    """A backbone with its weights, loaded once for all categories of this process."""
    return load_backbone(name).to(choose_device(device))


def together(backbone: Backbone) -> int:
    """How many samples go through the backbone at a time."""
    return max(1, PIXELS // backbone.size**2)
