"""Loaded by the Dask workers of tests: backbone and pictures that a test can wait for."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tiny import plain_overview, tiny_backbone

from mfkit import plot
from mfkit.features import BACKBONES

BACKBONES["tiny"] = lambda pretrained: tiny_backbone()
if "PLAIN_OVERVIEW" in os.environ:
    plot.overview = plain_overview
