"""Multi-Flow, step by step: one normalizing flow over all cameras that look at an object.

Shapes are written in one vocabulary everywhere:

    B  samples (objects)         V  views (cameras); view 0 is the hub, C1 on disk
    C  channels of a feature map H, W  positions of a feature map

Features and latents are (B, V, C, H, W), log-determinants and score maps (B, V, H, W), image scores
(B, V), sample scores (B,). Likelihoods are in nats, scores in nats per channel.

Read the rooms in the order of the method. Two pillars, `data` -> `features` (pictures become
feature maps) and `flow` -> `score` (feature maps become scores), meet in `experiment` (train,
evaluate, compare), many times in a `study`, in `inspection` (new pictures become verdicts) and in
`explore` (for people). `course` is what notebooks share, `kit` is for teachers, `plot` draws. Each
room says in which order to read its files.
"""

from importlib import import_module

_HOME = {  # where the public names live
    "data": "Category DataSet FLIPS MISFITS Sample categories read_category read_image read_mask",
    "data.check": "check",
    "data.own_cameras": "write_index",
    "errors": "Diverged InputError",
    "experiment": "PRESETS Training against_published evaluate export read_results render table",
    "experiment.run": "run",
    "experiment.train": "train",
    "explore": "LatentExplorer Latents Question load_latents write_page",
    "features": "FeatureStore ForegroundStore Split dilate load_backbone object_mask to_positions",
    "flow": "CrossViewCoupling CrossViewNet GRAPHS LinearMessages MESSAGES MultiFlow Neighbours"
    " Pyramid ViewGraph ViewPermutation Whiten load_flow save_flow soft_clamp",
    "inspection": "load_scorer score_pictures",
    "inspection.deploy": "deploy",
    "kit": "copy_lessons open_lab",
    "kit.doctor": "doctor",
    "palette": "HEAT PALETTE",
    "plot": "contact_sheet overview",
    "study": "run_study",
    "score": "Agreement PixelMetrics Scores Usual agreement_map auroc image_scores mean_scores"
    " nll_map pixel_map quiet_background sample_scores score_map standard_error swap_views"
    " who_helps",
}
_ROOM = {name: room for room, names in _HOME.items() for name in names.split()}
__all__ = sorted(_ROOM)


def __getattr__(name: str):
    """Import a public name when it is asked for: whoever lists files should not wait for torch."""
    if name not in _ROOM:
        raise AttributeError(f"module 'mfkit' has no attribute {name!r}")
    return getattr(import_module(f"mfkit.{_ROOM[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
