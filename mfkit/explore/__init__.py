"""The explorer of lesson 6: it uses all other rooms, and none uses it.

Read in this order: `answers` (what a flow says of a sample), `patches` (what features mean),
`latents` (asks the flows, and remembers); `sheets` and `panels` (pictures), `screens` (the table of
panels), `scene` (one state of all that, without widgets); `controls`, `state` and `explorer` (let a
person move it); `choice`, `beforehand` and `page` (the same without a kernel, as one file).
"""

from mfkit.explore.explorer import LatentExplorer
from mfkit.explore.latents import Latents, Question

__all__ = ["LatentExplorer", "Latents", "Question"]
