"""Small sets of samples with features and flows, for tests of the explorer."""

from pathlib import Path

import torch
from tiny import awake
from trees import tree

from mfkit.data import Category, read_category
from mfkit.flow import MultiFlow, ViewGraph

CHANNELS, HEIGHT, WIDTH = 6, 4, 3
CODES = {"BX": 1, "HS": 1}


def small_flow(graph: ViewGraph, seed: int = 0, blocks: int = 2) -> MultiFlow:
    """A flow in which messages count: its gammas are not 0."""
    torch.manual_seed(seed)
    flow = MultiFlow(
        CHANNELS, HEIGHT, WIDTH, graph, blocks=blocks, hidden=4, kernel_sizes=[1] * blocks
    )
    return awake(flow).eval()


def small_set(root: Path, views: int = 5, **kinds) -> Category:
    """A category of 3 training, 2 sound and 2 defective test samples."""
    tree(root, cameras=views, train=3, codes=CODES, **kinds)
    return read_category(root, "audiojack")


def features(samples: int, views: int = 5, seed: int = 0) -> torch.Tensor:
    """Random features (N, V, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, views, CHANNELS, HEIGHT, WIDTH, generator=generator)
