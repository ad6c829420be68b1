"""The explorer of lesson 6: it uses all other rooms, and none uses it.

Read in this order: `answers` (what a flow says of a sample), `patches` (what features mean),
`latents` (asks the flows, and remembers); `sheets` and `panels` (pictures), `screens` (the table of
panels), `scene` (one state of all that, without widgets); `controls`, `state` and `explorer` (let a
person move it). Without a kernel: `choice` (which samples), `beforehand` (all that can be asked of
them), `page` (one file that a browser opens).
"""

from mfkit.explore.explorer import LatentExplorer
from mfkit.explore.latents import Latents, Question
from mfkit.explore.page import write_page

__all__ = ["LatentExplorer", "Latents", "Question", "write_page"]
