"""Multi-Flow, step by step: one normalizing flow over all cameras that look at an object.

Shapes are written in one vocabulary everywhere:

    B  samples (objects)         V  views (cameras); view 0 is the hub, C1 on disk
    C  channels of a feature map H, W  positions of a feature map

Features and latents are (B, V, C, H, W), log-determinants and score maps (B, V, H, W), image scores
(B, V), sample scores (B,). Likelihoods are in nats, scores in nats per channel.

Read the files in the order of the method: views, messages, coupling, standardize, flow, score; then
data, store, features, border, masks, foreground, saved, train, evaluation; then presets, job,
results, run. `metrics` compares scores with labels, `probe` asks a trained flow questions, `plot`
draws, `explore` is for people, `cluster` hands categories to many machines, `published` and
`deploy` are for what comes after.
"""

from importlib import import_module

_HOME = {
    "Category": "data",
    "CrossViewCoupling": "coupling",
    "CrossViewNet": "messages",
    "FeatureStore": "features",
    "ForegroundStore": "foreground",
    "InputError": "files",
    "MultiFlow": "flow",
    "PixelMetrics": "metrics",
    "Sample": "data",
    "Training": "train",
    "ViewGraph": "views",
    "ViewPermutation": "coupling",
    "auroc": "metrics",
    "categories": "data",
    "evaluate": "evaluation",
    "image_scores": "score",
    "load_backbone": "features",
    "load_flow": "saved",
    "nll_map": "score",
    "object_mask": "foreground",
    "pixel_map": "score",
    "quiet_background": "score",
    "read_category": "data",
    "sample_scores": "score",
    "save_flow": "saved",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    """Import a public name when it is asked for: whoever lists files should not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'mfkit' has no attribute {name!r}")
    return getattr(import_module(f"mfkit.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
