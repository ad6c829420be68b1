"""A whole experiment: train, evaluate, compare.

Read in this order: `settings` (what can be chosen), `devices`, `run_folder` (which files a run
leaves), `form` (what they must look like), `beforehand`, `checkpoint`, `cross_fit` and `train`,
`evaluation`, `description` (what a model has to know about pictures); `result_files` (taken
together or not at all), `job` (one category end to end), `results`, `run` (all categories); then
`published` and `tables`, `adeval` (for the official tool), `cost` and `cluster` (large data sets).
"""

from mfkit.experiment.adeval import export
from mfkit.experiment.cost import estimate
from mfkit.experiment.description import (
    Camera,
    Description,
    HeldOut,
    look_at,
    weights_digest,
)
from mfkit.experiment.devices import autocast, choose_device
from mfkit.experiment.evaluation import (
    FURTHER,
    METRICS,
    Scored,
    compare,
    evaluate,
    score_split,
)
from mfkit.experiment.job import Job, backbone_on
from mfkit.experiment.published import PUBLISHED
from mfkit.experiment.results import add_result, finished, read_results
from mfkit.experiment.run_folder import CategoryFolder, FeatureFolder, RunFolder
from mfkit.experiment.settings import PRESETS, Preset, Training, choose_preset, new_flow
from mfkit.experiment.tables import against_published, render, table

__all__ = [
    "FURTHER",
    "METRICS",
    "PRESETS",
    "PUBLISHED",
    "Camera",
    "CategoryFolder",
    "Description",
    "FeatureFolder",
    "HeldOut",
    "Job",
    "Preset",
    "RunFolder",
    "Scored",
    "Training",
    "add_result",
    "against_published",
    "autocast",
    "backbone_on",
    "choose_device",
    "choose_preset",
    "compare",
    "estimate",
    "evaluate",
    "export",
    "finished",
    "look_at",
    "new_flow",
    "read_results",
    "render",
    "score_split",
    "table",
    "weights_digest",
]
