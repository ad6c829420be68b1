"""The flow: views, messages, couplings, and the model they make up.

Read in this order: `views` (which camera hears which) and its `drawing`, `messages` (the network in
which they talk), `coupling` (the invertible step around it), `standardize`, `whiten` and
`linear_messages` (what comes before the first coupling), `noise`, `chain`, `density` and
`multiflow` (the whole model), `pyramid` (one for each scale), `neighbours` (what to compare it
with), `model_file` (the model on disk).
"""

from mfkit.flow.coupling import CrossViewCoupling, MapModule, ViewPermutation, soft_clamp
from mfkit.flow.linear_messages import LinearMessages
from mfkit.flow.messages import MESSAGES, CrossViewNet
from mfkit.flow.model_file import Model, load_flow, load_state, save_flow, save_state
from mfkit.flow.multiflow import MultiFlow
from mfkit.flow.neighbours import Neighbours, coreset
from mfkit.flow.noise import NOISES
from mfkit.flow.pyramid import Pyramid
from mfkit.flow.standardize import Standardize
from mfkit.flow.views import GRAPHS, ViewGraph
from mfkit.flow.whiten import Whiten

__all__ = [
    "GRAPHS",
    "MESSAGES",
    "NOISES",
    "CrossViewCoupling",
    "CrossViewNet",
    "LinearMessages",
    "MapModule",
    "Model",
    "MultiFlow",
    "Neighbours",
    "Pyramid",
    "Standardize",
    "ViewGraph",
    "ViewPermutation",
    "Whiten",
    "coreset",
    "load_flow",
    "load_state",
    "save_flow",
    "save_state",
    "soft_clamp",
]
