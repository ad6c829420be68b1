"""Samples -> feature maps on disk, and which of their positions show the object.

Read in this order: `backbone` (the frozen network), `row_store` (numbers in one file that grows),
`feature_store`; then `border` (the object on a plain ground), `masks` (where masks come from) and
`foreground` (masks -> positions); `split` (samples with what belongs to them).
"""

from mfkit.features.backbone import BACKBONES, SCALES, Backbone, load_backbone
from mfkit.features.border import dilate, object_mask
from mfkit.features.feature_store import READERS, FeatureStore, present_views
from mfkit.features.foreground import ForegroundStore, to_positions
from mfkit.features.masks import FileMasks, Masks, load_masks
from mfkit.features.split import Split

__all__ = [
    "BACKBONES",
    "READERS",
    "SCALES",
    "Backbone",
    "FeatureStore",
    "FileMasks",
    "ForegroundStore",
    "Masks",
    "Split",
    "dilate",
    "load_backbone",
    "load_masks",
    "object_mask",
    "present_views",
    "to_positions",
]
