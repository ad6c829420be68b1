"""One palette for every figure, which colour-blind readers can tell apart."""

import seaborn as sns

__all__ = ["HEAT", "PALETTE"]

_SEABORN = sns.color_palette("colorblind").as_hex()
PALETTE = {
    "sound": _SEABORN[0],
    "defective": _SEABORN[3],
    "truth": "#00e5ff",
    "ink": "#333333",
    "quiet": "#999999",
}
HEAT = sns.color_palette("rocket", as_cmap=True)
"""Colours of score maps."""
