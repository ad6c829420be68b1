"""One category end to end: features, foreground, training, evaluation, files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from tqdm.auto import tqdm

from mfkit import plot
from mfkit.data import Category, data_fingerprint, read_mask
from mfkit.errors import InputError
from mfkit.experiment.devices import choose_device
from mfkit.experiment.evaluation import MASK_SIZE, evaluate
from mfkit.experiment.settings import Preset, new_flow
from mfkit.experiment.train import train
from mfkit.features import Backbone, FeatureStore, ForegroundStore, Masks, load_backbone, load_masks
from mfkit.files import whole_file
from mfkit.flow import MultiFlow, save_flow

__all__ = ["Job", "backbone_on"]

PIXELS = 4 * 256**2  # a view: what goes through the backbone together, for the sake of memory


@dataclass(frozen=True)
class Job:
    """What one process has to do for one category; it can be sent to another machine.

    Attributes:
        category: its samples.
        data: the root of the data set.
        settings: of the flow and its training.
        seed: of everything random.
        device: see `mfkit.experiment.devices.choose_device`.
        out: folder of the category's results.
        features: folder of the category's features and masks, for one backbone.
    """

    category: Category
    data: Path
    settings: Preset
    seed: int
    device: str
    out: Path
    features: Path

    def run(self) -> dict:
        """Do what is not done yet, and write model.pt, scores.csv, maps.npy and overview.png.

        A second process that is given the same job waits until the first one has ended.

        Returns:
            the category's row of results.json.

        Raises:
            InputError: data or settings are wrong.
            Diverged: training failed.
        """
        _check_splits(self.category)
        self.out.mkdir(parents=True, exist_ok=True)
        with FileLock(self.out / ".lock"):
            return self._run()

    def _run(self) -> dict:
        data, seconds = data_fingerprint(self.category), {}
        start = time.perf_counter()
        masks = load_masks(self.settings.foreground, self.data, self.category.name)
        features = self._features()
        seconds["features"] = time.perf_counter() - start
        start = time.perf_counter()
        foreground = self._foreground(masks, *features["train"].shape[3:])
        if foreground["train"] is not None:
            seconds["foreground"] = time.perf_counter() - start
        flow = self._flow(features["train"].shape[2:])
        history = train(
            flow,
            features["train"],
            self.settings.training,
            self.out,
            self.seed,
            foreground["train"],
        )
        seconds["training"] = history["seconds"].sum()
        save_flow(flow, self.out / "model.pt")
        start = time.perf_counter()
        metrics, nll, images, samples = evaluate(
            flow,
            features["test"],
            self.category.test,
            foreground=foreground["test"],
            amp=self.settings.training.amp,
        )
        seconds["evaluation"] = time.perf_counter() - start
        self._write_scores(nll, images, samples)
        figure = plot.overview(
            self.category.test,
            nll,
            images,
            samples,
            title=f"{self.category.name}, S-AUROC {metrics['s_auroc']:.3f}",
        )
        plot.save(figure, self.out / "overview.png")
        return {
            **metrics,
            "samples": len(self.category.test),
            "data": data,
            "seconds": {step: round(float(value), 1) for step, value in seconds.items()},
        }

    def _features(self) -> dict[str, FeatureStore]:
        backbone = backbone_on(self.device, self.settings.backbone)
        batch = max(1, PIXELS // backbone.size**2)
        return {
            split: FeatureStore.build(
                self.features / f"{split}.f16", samples, backbone, batch, f"features, {split}"
            )
            for split, samples in self.category.splits.items()
        }

    def _foreground(
        self, masks: Masks | None, height: int, width: int
    ) -> dict[str, ForegroundStore | None]:
        return {
            split: masks
            and ForegroundStore.build(
                self.features / f"{split}-{masks.name}.bool",
                samples,
                masks,
                height,
                width,
                label=f"foreground, {split}",
            )
            for split, samples in self.category.splits.items()
        }

    def _flow(self, shape: Sequence[int]) -> MultiFlow:
        torch.manual_seed(self.seed)
        flow = new_flow(self.settings, self.category.views, shape, self.seed)
        return flow.to(choose_device(self.device))

    def _write_scores(self, nll: np.ndarray, images: np.ndarray, samples: np.ndarray) -> None:
        category = self.category
        frame = pd.DataFrame(images, columns=category.test[0].view_names)
        frame.insert(0, "sample", [sample.name for sample in category.test])
        frame.insert(1, "label", [int(sample.label) for sample in category.test])
        frame.insert(2, "score", samples)
        with whole_file(self.out / "scores.csv") as draft:
            frame.to_csv(draft, index=False)
        with whole_file(self.out / "maps.npy") as draft:
            np.save(draft, nll)


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
