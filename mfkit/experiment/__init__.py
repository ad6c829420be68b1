"""A whole experiment: train, evaluate, compare.

Read in this order: `settings` (what can be chosen), `devices`, `run_folder` (which files a run
leaves), `form` (what they must look like), `beforehand`, `checkpoint`, `cross_fit` and `train`,
`evaluation`, `description` (what a model has to know about pictures); `result_files` (taken
together or not at all), `job` (one category end to end), `results`, `begun` (what is left to do),
`run` (all categories), `here` (one job after the other) and `cluster` (many machines); then
`published` and `tables`, `adeval` (for the official tool), `cost` (disk and memory).
"""

from mfkit.experiment.adeval import export
from mfkit.experiment.begun import Begun
from mfkit.experiment.cluster import run_jobs
from mfkit.experiment.cost import Needs, check_room, estimate, map_shape, size_of
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
from mfkit.experiment.here import do_here, tell
from mfkit.experiment.job import Job, backbone_on, together
from mfkit.experiment.published import PUBLISHED
from mfkit.experiment.results import add_result, finished, read_results
from mfkit.experiment.run_folder import CategoryFolder, FeatureFolder, RunFolder
from mfkit.experiment.settings import PRESETS, Preset, Training, choose_preset, new_flow
from mfkit.experiment.tables import (
    COLUMNS,
    against_published,
    beside_published,
    mean_name,
    render,
    table,
)

__all__ = [
    "COLUMNS",
    "FURTHER",
    "METRICS",
    "PRESETS",
    "PUBLISHED",
    "Begun",
    "Camera",
    "CategoryFolder",
    "Description",
    "FeatureFolder",
    "HeldOut",
    "Job",
    "Needs",
    "Preset",
    "RunFolder",
    "Scored",
    "Training",
    "add_result",
    "against_published",
    "autocast",
    "backbone_on",
    "beside_published",
    "check_room",
    "choose_device",
    "choose_preset",
    "compare",
    "do_here",
    "estimate",
    "evaluate",
    "export",
    "finished",
    "look_at",
    "map_shape",
    "mean_name",
    "new_flow",
    "read_results",
    "render",
    "run_jobs",
    "score_split",
    "size_of",
    "table",
    "tell",
    "together",
    "weights_digest",
]
