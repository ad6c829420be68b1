"""One sample from its seeds: the sound part, and the same part with a defect."""

import importlib
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from defects import OPERATIONS, Grade
from scene import CAMERAS, Studio
from truth import FEWEST, changed_skins, differs, shows

CATEGORIES = ("screw_block", "control_knob", "cast_flange", "wire_plug")
TRAIN, TEST, DEFECTIVE = 64, 32, 48  # samples in a category that says nothing else
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

    offset: int = 0  # of all seeds: 0 makes the shipped pictures

    @property
    def seed(self):
        """The seed of the sound part; the defect's seed is derived from it."""
        text = f"{self.category}/{self.code}/{self.number}" + f"/{self.offset}" * (self.offset > 0)
        return crc32(text.encode())


def plan(name, offset=0, more=0):
    """All samples of a category, in the order in which they are rendered.

    ``offset`` draws other samples of the same kinds; ``more`` sound ones are added to the training
    split, with numbers that follow those of the others.
    """
    category = importlib.import_module(name)
    train = getattr(category, "TRAIN", TRAIN)
    shares = category.CODES if isinstance(category.CODES, dict) else None
    shares = shares or {code: DEFECTIVE // len(category.CODES) for code in category.CODES}
    last = train + TEST
    kinds = [("train", "OK", number) for number in range(1, train + 1)]
    kinds += [("train", "OK", number) for number in range(last + 1, last + more + 1)]
    kinds += [("test", "OK", number) for number in range(train + 1, last + 1)]
    kinds += [("test", code, number + 1) for code in shares for number in range(shares[code])]
    return [Sample(name, split, code, number, offset=offset) for split, code, number in kinds]


def build(sample):
    """Fill in studio and marks and, for a defective sample, masks and, if plain, twin and grade."""
    category = importlib.import_module(sample.category)
    rng = np.random.default_rng(sample.seed)
    if sample.code in getattr(category, "MISFITS", ()):
        pieces, rig, sample.marks, wrong = category.build(rng, sample.code)
        sample.studio = Studio(pieces, rig)
        masks = {k: shows(sample.studio, wrong, k) for k in CAMERAS}
        sample.masks = {k: mask for k, mask in masks.items() if mask.sum() >= FEWEST}
        return sample
    pieces, rig, sample.marks, *_ = category.build(rng)
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
