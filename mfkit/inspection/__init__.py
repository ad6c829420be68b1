"""New pictures -> a verdict, here or elsewhere: what a trained model is for.

Read in this order: `parts` (which parts there are to score), `scorer` (pictures -> scores and
p-values), `report` (the table of verdicts, and pictures of them); then `deploy` (a program for use
without mfkit, and a card that says what it is).
"""

from mfkit.inspection.deploy import Scorer, export_scorer
from mfkit.inspection.parts import Part, find_parts
from mfkit.inspection.report import COLUMNS, FAILED, score_pictures, threshold_sentence
from mfkit.inspection.scorer import (
    Pictures,
    PictureScorer,
    Verdicts,
    alarm_rate,
    load_scorer,
    take,
)

__all__ = [
    "COLUMNS",
    "FAILED",
    "Part",
    "PictureScorer",
    "Pictures",
    "Scorer",
    "Verdicts",
    "alarm_rate",
    "export_scorer",
    "find_parts",
    "load_scorer",
    "score_pictures",
    "take",
    "threshold_sentence",
]
