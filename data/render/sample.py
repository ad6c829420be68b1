"""One sample from its seeds: the sound part, and the same part with a defect."""

import importlib
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from defects import OPERATIONS, Grade
from scene import CAMERAS, Studio
from truth import FEWEST, changed_skins, differs

CATEGORIES = ("screw_block", "control_knob", "cast_flange")
TRAIN, TEST, DEFECTIVE = 64, 32, 48  # samples in a category
ATTEMPTS, PATIENCE = 100, 11  # to place a defect; to place it where few cameras look


@dataclass
class Sample:
    """category; split 'train' or 'test'; code 'OK' or a defect's; number 1... within its folder."""

    category: str
    split: str
    code: str
    number: int
    marks: dict = field(default_factory=dict)
    masks: dict = field(default_factory=dict)  # camera -> (SIZE, SIZE) bool
    grade: Grade | None = None
    studio: Studio | None = None
    twin: Studio | None = None  # of a defective sample: the same part without the defect

    @property
    def seed(self):
        """The seed of the sound part; the defect's seed is derived from it."""
        return crc32(f"{self.category}/{self.code}/{self.number}".encode())


def plan(name):
    """All samples of a category, in the order in which they are rendered."""
    codes = importlib.import_module(name).CODES
    samples = [Sample(name, "train", "OK", n + 1) for n in range(TRAIN)]
    samples += [Sample(name, "test", "OK", TRAIN + n + 1) for n in range(TEST)]
    each = DEFECTIVE // len(codes)
    return samples + [Sample(name, "test", c, n + 1) for c in codes for n in range(each)]


def build(sample):
    """Fill in studio and marks and, for a defective sample, twin, masks and grade."""
    category = importlib.import_module(sample.category)
    pieces, rig, sample.marks = category.build(np.random.default_rng(sample.seed))
    sample.studio = Studio(pieces, rig)
    if sample.code == "OK":
        return sample
    sample.twin = sample.studio
    most = 2 if category.HIDE and sample.number % 3 == 0 else len(CAMERAS)
    for attempt in range(ATTEMPTS):  # until a camera sees the defect, and not too many do
        sample.grade = Grade(np.random.default_rng([sample.seed, attempt]), category.COARSE)
        sample.studio = Studio(OPERATIONS[sample.code](pieces, category, sample.grade), rig)
        texels = changed_skins(sample.studio, sample.twin)
        masks = {k: differs(sample.studio, sample.twin, texels, k) for k in CAMERAS}
        sample.masks = {k: mask for k, mask in masks.items() if mask.sum() >= FEWEST}
        if 0 < len(sample.masks) <= most:
            return sample
        if sample.masks and attempt >= PATIENCE:
            return sample
    raise RuntimeError(f"no camera sees the defect of {sample}")


def forget(sample):
    """Let go of the scenes of a sample; they are large."""
    sample.studio = sample.twin = None
