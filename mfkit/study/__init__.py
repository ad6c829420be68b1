"""A study: Multi-Flow and its controls on every category, with several seeds, and what they found.

Read in this order: `study_folder` (what a study consists of), `variants` (who competes), `rates`,
`forecast` and `clock` (how long it takes), `findings` (from trials to tables), `worst` (misses and
false alarms), `figures`, `tables` and `page` (what a browser shows), `trials` (all of it).
"""

from mfkit.study.study_folder import StudyFolder
from mfkit.study.trials import run_study
from mfkit.study.variants import OURS, VARIANTS

__all__ = ["OURS", "VARIANTS", "StudyFolder", "run_study"]
