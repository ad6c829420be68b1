"""A whole experiment: train, evaluate, compare, hand on.

Read in this order: `settings` (what can be chosen), `devices`, `run_folder` (which files a
run leaves), `form` (what they must look like), `checkpoint` and `train`, `evaluation`;
`result_files` (taken together or not at all), `job` (one category end to end), `results`, `run`
(all categories); then `published` and `tables`, `adeval` and `deploy` (what others use),
`cost` and `cluster` (large data sets).
"""

from mfkit.experiment.adeval import export
from mfkit.experiment.cost import estimate
from mfkit.experiment.deploy import Scorer, export_scorer
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
from mfkit.experiment.results import add_result, read_results
from mfkit.experiment.settings import PRESETS, Preset, Training, choose_preset, new_flow
from mfkit.experiment.tables import against_published, render, table

__all__ = [
    "FURTHER",
    "METRICS",
    "PRESETS",
    "PUBLISHED",
    "Job",
    "Preset",
    "Scored",
    "Scorer",
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
    "export_scorer",
    "new_flow",
    "read_results",
    "render",
    "score_split",
    "table",
]
