"""States that are worth a look, found by rules: the explorer offers each as a button."""

import numpy as np

from mfkit.data import MISFITS
from mfkit.explore.colour import colours

__all__ = ["START_OVER", "groups", "presets"]

START_OVER = "start over"


def presets(latents) -> dict[str, dict]:
    """States by name; those that the samples allow. Scores are those of `latents.last`."""
    name, labels = latents.last, latents.labels
    scores = latents.scores[name]
    codes = np.array([sample.code for sample in latents.samples])
    single = np.array([sum(sample.labels) == 1 for sample in latents.samples])
    misfit = np.isin(codes, list(MISFITS))
    found = {}
    for words, chosen, worth in (
        ("a defect that one camera sees", single, scores),
        ("a false alarm", ~labels, scores),
        ("a miss", labels & ~misfit, -scores),
    ):
        if chosen.any():
            sample = int(np.flatnonzero(chosen)[worth[chosen].argmax()])
            found[words] = {"sample": sample, **_brightest(latents.whole[name][sample].nll)}
    if misfit.any() and "agreement" in latents.ranked[name]:
        worth = latents.ranked[name]["agreement"][1]
        sample = int(np.flatnonzero(misfit)[worth[misfit].argmax()])
        place = _brightest(latents.agreed[name][sample].maps[0].numpy())
        found["views that do not fit"] = {"sample": sample, "map": "agreement", **place}
    if (~labels).sum() > 1 and latents.shape[0] > 1:
        found["swapped views"] = _swapped(latents)
    return {**found, START_OVER: {}}


def _brightest(values: np.ndarray) -> dict:
    """The state that looks at the highest position of a map (V, H, W)."""
    values = np.nan_to_num(values, nan=-np.inf)
    view, *position = map(int, np.unravel_index(values.argmax(), values.shape))
    return {"view": view, "position": tuple(position)}


def _swapped(latents) -> dict:
    """Of two sound parts whose pictures differ most in colour, one gets a view of the other.

    The view is the one of the first part's rim in which they differ most: at it one sees that the
    pictures do not belong together. No score is looked at.
    """
    sound = np.flatnonzero(~latents.labels)
    whole = [index for index in sound if all(latents.samples[index].present)]
    whole = whole if len(whole) > 1 else sound
    seen = colours(latents, whole)  # (N, V, 3)
    far = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[..., 1:]
    one, other, view = np.unravel_index(np.nan_to_num(far).argmax(), far.shape)
    change = {"view": int(view) + 1, "swapped": ((int(view) + 1, int(whole[other])),)}
    return {"sample": int(whole[one]), **change, "panel": "messages"}


def groups(latents, model: str, threshold: float) -> dict[str, np.ndarray]:
    """Which samples one may want to walk through: indices by words.

    Arguments:
        latents: samples and flows.
        model: whose scores.
        threshold: nats per channel.
    """
    labels, above = latents.labels, latents.scores[model] > threshold
    codes = np.array([sample.code for sample in latents.samples])
    chosen = {
        "all": np.ones_like(labels),
        "sound": ~labels,
        "defective": labels,
        "missed": labels & ~above,
        "false alarms": ~labels & above,
        **{f"code {code}": labels & (codes == code) for code in sorted(set(codes[labels]))},
    }
    return {words: np.flatnonzero(mask) for words, mask in chosen.items()}
