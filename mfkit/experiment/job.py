"""One category end to end: features, foreground, training, evaluation, files."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor
from tqdm.auto import tqdm

from mfkit import plot
from mfkit.data import Category, DataSet, camera_names, data_fingerprint, read_mask
from mfkit.errors import InputError
from mfkit.experiment.description import Description, HeldOut, look_at, weights_digest
from mfkit.experiment.devices import choose_device
from mfkit.experiment.evaluation import MASK_SIZE, Scored, compare, score_split
from mfkit.experiment.run_folder import CategoryFolder, FeatureFolder
from mfkit.experiment.settings import Preset, new_flow
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
from mfkit.files import whole_file
from mfkit.flow import MultiFlow, Neighbours, save_flow
from mfkit.score import combined

__all__ = ["Job", "backbone_on"]

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
    """

    category: Category
    data: DataSet
    settings: Preset
    seed: int
    device: str
    out: CategoryFolder
    features: FeatureFolder

    def run(self) -> dict:
        """Do what is not done yet, and write the files of a `CategoryFolder`.

        A second process that is given the same job waits until the first one has ended.

        Returns:
            the category's row of results.json.

        Raises:
            InputError: data or settings are wrong.
            Diverged: training failed.
        """
        _check_splits(self.category)
        self.out.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self.out.lock):
            return self._run()

    def _run(self) -> dict:
        data, seconds = data_fingerprint(self.category), {}
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
        seconds["training"] = self._learn(flow, kept)
        save_flow(flow, self.out.model)
        with _timed(seconds, "evaluation"):
            test, unseen = (self._score(flow, split) for split in (splits["test"], held))
            joined = unseen and combined(test.both(), unseen.both())
            metrics = compare(splits["test"], test, joined)
        self._describe(self.out, test, held, unseen)
        if self.settings.method == "neighbours":
            del metrics["nll"]  # distances are no likelihood
        self._write(splits["test"], test, self.out.scores, joined)
        if unseen is not None:
            self._write(held, unseen, self.out.held_out)
        with whole_file(self.out.maps) as draft:
            np.save(draft, test.scores.maps.numpy())
        title = f"{self.category.name}, S-AUROC {metrics['s_auroc']:.3f}"
        figure = plot.overview(self.category.test, test.scores, title, ranked=joined)
        plot.save(figure, self.out.overview)
        return {**metrics, "samples": len(self.category.test), "data": data, "seconds": seconds}

    def _learn(self, flow: MultiFlow | Neighbours, split: Split) -> float:
        """Train a flow, or fit what takes its place; seconds."""
        if self.settings.method == "flow":
            history = train(flow, split, self.settings.training, self.out.path, self.seed)
            return round(float(history["seconds"].sum()), 1)
        with _timed(seconds := {}, "training"):
            flow.fit(split[[index]][0] for index in range(len(split)))
        flow.eval()
        return seconds["training"]

    def _score(self, flow: MultiFlow | Neighbours, split: Split | None) -> Scored | None:
        """Scores of a split; agreement where there are messages that the flow can do without."""
        training = self.settings.training
        talks = self.settings.method == "flow" and bool(flow.graph.possible_edges)
        agreement = training.message_dropout > 0 and talks
        return split and score_split(flow, split, amp=training.amp, agreement=agreement)

    def _features(self) -> dict[str, FeatureStore]:
        backbone = backbone_on(self.device, self.settings.backbone)
        batch = max(1, PIXELS // backbone.size**2)
        return {
            name: FeatureStore.build(
                self.features.features(name), samples, backbone, batch, f"features, {name}"
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
            )
            for name, samples in self.category.splits.items()
        }

    def _flow(self, shape: Sequence[int]) -> MultiFlow | Neighbours:
        torch.manual_seed(self.seed)
        flow = new_flow(self.settings, self.category.views, shape, self.seed)
        return flow.to(choose_device(self.device))

    def _describe(
        self, folder: CategoryFolder, test: Scored, held: Split | None, unseen: Scored | None
    ) -> None:
        """Note what the model has to know to score new pictures."""
        training = self.settings.training
        masks = self.settings.foreground
        made = masks.partition(":")[0] in ("none", "border", "rembg")
        backbone = backbone_on(self.device, self.settings.backbone)
        names = camera_names(self.data.file(self.category.name), self.category.cameras)
        description = Description(
            category=self.category.name,
            backbone=self.settings.backbone,
            backbone_digest=backbone.fingerprint(),
            size=backbone.size,
            weights=weights_digest(folder.model),
            foreground=masks if made else "files",
            amp=training.amp,
            missing_views=self.data.allows_missing or training.view_dropout > 0,
            agreement=test.agreement is not None,
            cameras=look_at(self.category.train, names),
            scale=plot.map_scale(test.scores.maps),
            held_out=unseen and HeldOut.of(held.samples, unseen),
        )
        description.write(folder.description)

    def _write(
        self, split: Split, scored: Scored, path: Path, joined: Tensor | None = None
    ) -> None:
        """A row for each sample: label, score; agreement and both joined, if any; image scores."""
        samples = split.samples
        frame = pd.DataFrame(scored.scores.images.numpy(), columns=samples[0].view_names)
        frame.insert(0, "sample", [sample.name for sample in samples])
        frame.insert(1, "label", [int(sample.label) for sample in samples])
        frame.insert(2, "score", scored.scores.samples.numpy())
        if scored.agreement is not None:
            frame.insert(3, "agreement", scored.agreement.samples.numpy())
        if joined is not None:
            frame.insert(4, "combined", joined.numpy())
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


def _check_splits(category: Category) -> None:
    """Find out before the work starts whether its end can be reached."""
    for view, camera in enumerate(category.cameras):
        if not any(sample.present[view] for sample in category.train):
            raise InputError(
                f"{category.name}: camera {camera} has no image in the training split, so nothing "
                "can be learned about it; add some, or take its rows out of the JSON file"
            )
    labels = {sample.label for sample in category.test}
    if labels != {False, True}:
        lacking = "defective" if labels == {False} else "sound"
        raise InputError(
            f"{category.name}: the test split holds no {lacking} sample, so no AUROC can be "
            "computed; add some to the JSON file"
        )
    masks, marked = [], False
    for sample in tqdm(category.test, desc="masks"):
        for image, mask in zip(sample.images, sample.masks, strict=True):
            if mask is not None:
                masks.append(mask)
                marked |= bool(read_mask(mask, MASK_SIZE, image=image).any())
    if not marked:
        raise InputError(
            f"{category.name}: no mask of the test split marks a defect on the {MASK_SIZE} x "
            f"{MASK_SIZE} px that are compared"
            + (f", {masks[0]} for one: defects should be white (255) on black" if masks else "")
        )
