"""The explorer of lesson 6: it uses all other rooms, and none uses it.

Read in this order: `answers` (what a flow says of a sample), `rules` (three scores of it),
`patches` (what features mean), `question` and `latents` (ask the flows, and remember), `limits`
(where axes end); `letters`, `sheets`, `drawing`, `pane`, `panels` and `standings` (pictures),
`screen`, `image_screens`, `plot_screens` and `screens` (the table of panels), `scene` (one state of
all that, without widgets); `colour` and `presets` (states that are worth a look); `controls`,
`clickable`, `state`, `history`, `arrangement` and `explorer` (let a person move it); `models`
(trained models out of their folders); `choice`, `beforehand` and `page` (the same without a kernel,
as one file).
"""

from mfkit.explore.explorer import LatentExplorer
from mfkit.explore.latents import Latents
from mfkit.explore.models import load_latents
from mfkit.explore.page import write_page
from mfkit.explore.question import Question

__all__ = ["LatentExplorer", "Latents", "Question", "load_latents", "write_page"]
