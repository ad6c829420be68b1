"""Who competes: the preset's flow, and the controls that tell what its messages are worth."""

from dataclasses import replace

from mfkit.errors import InputError
from mfkit.experiment import Preset, size_of

__all__ = ["CONTROLS", "OURS", "VARIANTS", "WORDS", "choose_variants", "seeds_of", "settings_of"]

OURS = "wheel"
VARIANTS = {
    OURS: "Multi-Flow",
    "separated": "separated",
    "separated-large": "separated, as large",
    "gaussian": "Gaussian",
}
"""Names of folders, and what a table calls them."""
WORDS = (
    "Multi-Flow: one flow whose cameras talk. Separated: the same without messages, a flow for "
    "each camera. Separated, as large: the same, widened to as many weights. Gaussian: one for "
    "each camera and position, fitted at once."
)
CONTROLS = tuple(name for name in VARIANTS if name != OURS)


def choose_variants(names: list[str] | tuple[str, ...] | None) -> list[str]:
    """Variants in their order; None: all of them.

    Raises:
        InputError: an unknown one, or none.
    """
    unknown = [name for name in names or () if name not in VARIANTS]
    if unknown or (names is not None and not len(names)):
        got = f"got {unknown[0]!r}" if unknown else "got none"
        raise InputError(f"'variants' should be of {', '.join(VARIANTS)}, {got}")
    return [name for name in VARIANTS if names is None or name in names]


def settings_of(variant: str, preset: Preset, views: int) -> Preset:
    """The settings of a variant.

    Arguments:
        variant: a name of `VARIANTS`.
        preset: settings of the flow that is studied.
        views: V; a flow for each camera needs a width of its own to be as large as one with
            messages.
    """
    if variant == "gaussian":
        return replace(preset, method="gaussian", linear=False)
    if variant == OURS:
        return preset
    separated = replace(preset, graph="empty")
    if variant == "separated":
        return separated
    return replace(separated, hidden=_width(separated, size_of(preset, views)[0], views))


def seeds_of(variant: str, seeds: list[int]) -> list[int]:
    """The seeds that make a difference: nothing about a Gaussian is drawn."""
    return list(seeds[:1]) if variant == "gaussian" else list(seeds)


def _width(separated: Preset, weights: int, views: int) -> int:
    """The hidden channels that give a separated flow about so many weights."""

    def size(hidden: int) -> int:
        return size_of(replace(separated, hidden=hidden), views)[0]

    high = separated.hidden
    while size(high) < weights:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < weights else (low, middle)
    return min((low, high), key=lambda hidden: abs(size(hidden) - weights))
