"""Loaded by the Dask workers of tests: the backbone that a test can wait for."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tiny import tiny_backbone

from mfkit.features import BACKBONES

BACKBONES["tiny"] = lambda pretrained: tiny_backbone()
