"""What a run takes on disk and in memory, estimated before the work starts."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
import torch

from mfkit.errors import InputError
from mfkit.experiment.job import Job
from mfkit.experiment.settings import Preset, new_flow
from mfkit.features import SCALES, load_backbone
from mfkit.score import FINER

__all__ = ["Needs", "check_room", "estimate", "map_shape", "size_of"]

BASE = 0.9e9  # bytes: Python, PyTorch and its libraries, histograms of the pixel metrics (measured)
TENSORS = 7  # of a sample's size, that half a coupling keeps for its gradient (measured)


@dataclass(frozen=True)
class Needs:
    """Bytes that a run takes.

    Attributes:
        features: what is still to be written into the folder of features and masks.
        results: what is still to be written into the folder of results.
        memory: of one process at its peak, on the device that trains.
    """

    features: int
    results: int
    memory: int

    def __str__(self) -> str:
        return (
            f"{_size(self.features)} of features and {_size(self.results)} of results on disk, "
            f"about {_size(self.memory)} of memory"
        )


def estimate(jobs: Iterable[Job]) -> Needs:
    """What is left to do for these jobs takes.

    Counted to the byte is what is large: features, maps, weights and checkpoints. Memory is the
    weights with their gradients and moments, and what a batch keeps for its gradient; for a model
    that is fitted, its constants and twice the training features.

    Arguments:
        jobs: all of one preset.
    """
    features = results = memory = 0
    for job in jobs:
        samples = {split: len(part) for split, part in job.category.splits.items()}
        channels, height, width = map_shape(job.settings.backbone)
        positions = job.category.views * height * width
        row, (weights, constants) = channels * positions, size_of(job.settings, job.category.views)
        trains = job.settings.method == "flow"
        saved = 4 * (weights + constants)
        checkpoint = saved + 8 * weights if trains else 0
        files = {job.features.features(split): 2 * row * n for split, n in samples.items()}
        features += _missing(files)
        files = {
            job.out.model: saved,
            job.out.checkpoint: checkpoint,
            job.out.maps: 4 * _finer(job.settings.backbone) * positions * samples["test"],
        }
        results += _missing(files)
        training = job.settings.training
        together = min(training.micro_batch or training.batch, samples["train"])
        kept = 4 * TENSORS * 2 * job.settings.blocks * together * row
        if training.folds:  # features as other folds see them, heard and silent
            kept += 4 * (1 + job.settings.linear) * samples["train"] * row
        if not trains:
            kept = 4 * 2 * samples["train"] * row  # while it is fitted
        memory = max(memory, int(BASE + saved + 12 * weights + kept))
    return Needs(features, results + checkpoint, memory)  # a checkpoint is written beside the old


def _finer(backbone: str) -> int:
    """How many places a score map has for each position, see `mfkit.score.score_map`."""
    scales = SCALES.get(backbone)
    return (FINER * scales[-1][1]) ** 2 if scales else 1


def check_room(needs: Needs, out: Path, features: Path, device: str = "cpu") -> None:
    """Print what a run takes and stop it where the disk has no room for it.

    Little memory is only a warning, since what is free changes from moment to moment.

    Arguments:
        needs: of `estimate`.
        out, features: the folders to write to; they need not exist yet.
        device: on which the work is done; "auto" means that it is not known here.

    Raises:
        InputError: too little room on a disk.
    """
    print(f"this takes {needs}")
    wanted: dict[int, tuple[Path, int]] = {}
    for folder, size in ((features, needs.features), (out, needs.results)):
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        disk = there.stat().st_dev
        wanted[disk] = there, wanted.get(disk, (there, 0))[1] + size
    for there, size in wanted.values():
        free = shutil.disk_usage(there).free
        if size > free:
            raise InputError(
                f"{there}: {_size(free)} are free, {_size(size)} are needed: make room, or choose "
                "another --out or --features"
            )
    free = _free_memory(device)
    if free is not None and needs.memory > free:
        print(
            f"warning: only {_size(free)} of memory are free; close other programs, or take "
            "--micro-batch 1 or a smaller preset. If it is killed, the same command continues"
        )


def _free_memory(device: str) -> int | None:
    """Bytes that are free where the flow is trained, None if that is not known."""
    if device == "auto":
        return None
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def _size(number: float) -> str:
    """Bytes as people write them."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number / 1e3:.1f} kB"


def _missing(files: dict[Path, int]) -> int:
    """Bytes still to be written of files that shall have these sizes."""
    return sum(
        max(0, size - path.stat().st_size) if path.exists() else size
        for path, size in files.items()
    )


@cache
def map_shape(backbone: str) -> tuple[int, int, int]:
    """C, H, W of a backbone; on the meta device it is built and run without numbers."""
    with torch.device("meta"):
        network = load_backbone(backbone, pretrained=False)
        blank = torch.zeros(1, network.size, network.size, 3, dtype=torch.uint8)
        return tuple(network(blank).shape[1:])


@cache
def size_of(settings: Preset, views: int) -> tuple[int, int]:
    """How many weights the flow of this preset has, and constants that are saved with them."""
    with torch.device("meta"):
        flow = new_flow(settings, views, map_shape(settings.backbone))
    weights, saved = (
        sum(value.numel() for value in values)
        for values in (flow.parameters(), flow.state_dict().values())
    )
    return weights, saved - weights
