"""Multi-Flow, step by step: one normalizing flow over all cameras that look at an object.

Shapes are written in one vocabulary everywhere:

    B  samples (objects)         V  views (cameras); view 0 is the hub, C1 on disk
    C  channels of a feature map H, W  positions of a feature map

Features and latents are (B, V, C, H, W), log-determinants and score maps (B, V, H, W), image scores
(B, V), sample scores (B,). Likelihoods are in nats, scores in nats per channel.

Read the files in the order of the method: views, messages, coupling, flow, score; then data, store,
features, border, masks, foreground, train, evaluation; then presets, job, results, run. `metrics`
compares scores with labels, `probe` asks a trained flow questions, `plot` draws, `cluster` hands
categories to many machines, `published` and `deploy` are for what comes after.
"""

from mfkit.coupling import CrossViewCoupling, ViewPermutation
from mfkit.data import Category, Sample, categories, read_category
from mfkit.evaluation import evaluate
from mfkit.features import FeatureStore, load_backbone
from mfkit.files import InputError
from mfkit.flow import MultiFlow
from mfkit.foreground import ForegroundStore, object_mask
from mfkit.messages import CrossViewNet
from mfkit.metrics import PixelMetrics, auroc
from mfkit.score import image_scores, nll_map, pixel_map, quiet_background, sample_scores
from mfkit.train import Training, load_flow, save_flow
from mfkit.views import ViewGraph

__all__ = [
    "Category",
    "CrossViewCoupling",
    "CrossViewNet",
    "FeatureStore",
    "ForegroundStore",
    "InputError",
    "MultiFlow",
    "PixelMetrics",
    "Sample",
    "Training",
    "ViewGraph",
    "ViewPermutation",
    "auroc",
    "categories",
    "evaluate",
    "image_scores",
    "load_backbone",
    "load_flow",
    "nll_map",
    "object_mask",
    "pixel_map",
    "quiet_background",
    "read_category",
    "sample_scores",
    "save_flow",
]
