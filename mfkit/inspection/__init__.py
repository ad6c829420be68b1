"""New pictures -> a verdict, here or elsewhere: what a trained model is for.

Read in this order: `parts` (which parts there are to score), `scorer` (pictures -> scores and
p-values), `report` (the table of verdicts, and pictures of them); then `program` (the same steps as
one program without mfkit), `card` (what a model is, in words) and `deploy` (both as files).
"""

from mfkit.inspection.card import EXAMPLE, model_card
from mfkit.inspection.deploy import TAKES, Scorer, export_scorer
from mfkit.inspection.parts import Part, find_parts
from mfkit.inspection.program import FORMATS, PictureProgram, export_program, output_names
from mfkit.inspection.report import COLUMNS, FAILED, score_pictures, score_table, threshold_sentence
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
    "EXAMPLE",
    "FAILED",
    "FORMATS",
    "TAKES",
    "Part",
    "PictureProgram",
    "PictureScorer",
    "Pictures",
    "Scorer",
    "Verdicts",
    "alarm_rate",
    "export_program",
    "export_scorer",
    "find_parts",
    "load_scorer",
    "model_card",
    "output_names",
    "score_pictures",
    "score_table",
    "take",
    "threshold_sentence",
]
