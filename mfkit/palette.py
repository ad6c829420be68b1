"""One palette for every figure, which colour-blind readers can tell apart."""

import seaborn as sns

__all__ = ["HEAT", "PALETTE", "SIGNED"]

_SEABORN = sns.color_palette("colorblind").as_hex()
PALETTE = {
    "sound": _SEABORN[0],
    "defective": _SEABORN[3],
    "moved": _SEABORN[4],
    "other": _SEABORN[2],
    "truth": "#00e5ff",
    "above": "#ffe500",
    "ink": "#333333",
    "quiet": "#999999",
}
"""Kinds of parts (sound, defective); what was changed; a second flow beside the first; outlines of
the true defect and of what lies above the threshold; lines and text."""
HEAT = sns.color_palette("rocket", as_cmap=True)
"""Colours of score maps."""
SIGNED = sns.color_palette("vlag", as_cmap=True)
"""Colours of differences, white at 0."""
