"""One sample from its seeds: the sound part, and the same part with a defect."""

import importlib
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from defects import OPERATIONS, Grade
from scene import CAMERAS, Studio
from truth import FEWEST, changed_skins, differs, does_not_fit

CATEGORIES = ("screw_block", "control_knob", "cast_flange", "wire_plug")
TEST = 32  # sound samples; a category says how many it has for training (TRAIN), and with defects
ATTEMPTS, PATIENCE = 100, 11  # to place a defect; to place it where few cameras look


@dataclass
class Sample:
    """category; split 'train' or 'test'; code 'OK' or a defect's; number 1... within its folder."""

    category: str
    split: str
    code: str
    number: int
    offset: int = 0  # other numbers make other samples of the same plan; 0 those that are shipped
    marks: dict = field(default_factory=dict)
    masks: dict = field(default_factory=dict)  # camera -> (SIZE, SIZE) bool
    grade: Grade | None = None
    studio: Studio | None = None
    twin: Studio | None = None  # of a plain defect: the same part without it

    @property
    def seed(self):
        """The seed of the sound part; the defect's seed is derived from it."""
        fresh = f"/{self.offset}" if self.offset else ""
        return crc32(f"{self.category}/{self.code}/{self.number}{fresh}".encode())


def plan(name, offset=0, train=None):
    """All samples of a category, in the order in which they are rendered.

    ``train`` asks for another number of training samples: the first of those that are shipped, or
    all of them and more, whose numbers follow those of the sound test samples.
    """
    category = importlib.import_module(name)
    shipped, last = category.TRAIN, category.TRAIN + TEST
    numbers = [n if n <= shipped else n + TEST for n in range(1, (train or shipped) + 1)]
    samples = [Sample(name, "train", "OK", n, offset) for n in numbers]
    samples += [Sample(name, "test", "OK", n, offset) for n in range(shipped + 1, last + 1)]
    return samples + [
        Sample(name, "test", code, n, offset)
        for code, count in category.CODES.items()
        for n in range(1, count + 1)
    ]


def build(sample):
    """Fill in studio, marks and masks; of a plain defect also the twin and the grade."""
    category, rng = importlib.import_module(sample.category), np.random.default_rng(sample.seed)
    if sample.code in getattr(category, "MISFITS", ()):
        pieces, rig, sample.marks = category.build(rng, sample.code)
        sample.studio = Studio(pieces, rig)
        masks = {k: does_not_fit(sample.studio, k) for k in CAMERAS}
        sample.masks = {k: mask for k, mask in masks.items() if mask.sum() >= FEWEST}
        return sample
    pieces, rig, sample.marks = category.build(rng)
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
