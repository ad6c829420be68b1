"""From likelihood to anomaly scores, and what scores are worth.

Read in this order: `scores` (position -> image -> sample), `metrics` (scores against labels),
`probe` (questions to a trained flow).
"""

from mfkit.score.metrics import FPR_LIMIT, PixelMetrics, auroc
from mfkit.score.probe import evidence, mean_scores, mute, swap_auroc, swap_views, who_helps
from mfkit.score.scores import (
    Scores,
    image_scores,
    nll_map,
    pixel_map,
    quiet_background,
    sample_scores,
)

__all__ = [
    "FPR_LIMIT",
    "PixelMetrics",
    "Scores",
    "auroc",
    "evidence",
    "image_scores",
    "mean_scores",
    "mute",
    "nll_map",
    "pixel_map",
    "quiet_background",
    "sample_scores",
    "swap_auroc",
    "swap_views",
    "who_helps",
]
