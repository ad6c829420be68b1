"""From likelihood to anomaly scores, and what scores are worth.

Read in this order: `scores` (position -> image -> sample), `agreement` (do the views belong
together?), `verdict` (p-values of new parts), `metrics` (scores against labels), `probe` (questions
to a trained flow).
"""

from mfkit.score.agreement import Agreement, Usual, agreement_map, combined
from mfkit.score.metrics import FPR_LIMIT, PixelMetrics, auroc, standard_error
from mfkit.score.probe import mean_scores, mute, swap_auroc, swap_views, who_helps
from mfkit.score.scores import (
    FINER,
    Scores,
    image_scores,
    nll_map,
    pixel_map,
    quiet_background,
    sample_scores,
    score_map,
)
from mfkit.score.verdict import p_values, smallest_rate

__all__ = [
    "FINER",
    "FPR_LIMIT",
    "Agreement",
    "PixelMetrics",
    "Scores",
    "Usual",
    "agreement_map",
    "auroc",
    "combined",
    "image_scores",
    "mean_scores",
    "mute",
    "nll_map",
    "p_values",
    "pixel_map",
    "quiet_background",
    "sample_scores",
    "score_map",
    "smallest_rate",
    "standard_error",
    "swap_auroc",
    "swap_views",
    "who_helps",
]
