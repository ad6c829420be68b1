"""The explorer of lesson 6, a leaf: it uses all of `mfkit`, and nothing uses it.

Data runs in one direction: `latents` ask the flows, `answers` keep what they said, `panels` and
`sheets` draw it, `scene` is one state of all that, `controls` and `explorer` let a person move it.
"""

from mfkit.explore.explorer import LatentExplorer
from mfkit.explore.latents import Latents, Question

__all__ = ["LatentExplorer", "Latents", "Question"]
