"""Which parts are worth a look, and which other parts to swap their views with: chosen by rules."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mfkit.data import MISFITS
from mfkit.explore.colour import colours
from mfkit.explore.latents import Latents

__all__ = ["Reason", "choose", "donors", "threshold"]


class Reason(NamedTuple):
    """Why a part was chosen, and a question to it.

    Attributes:
        why: "a near miss", as in "chosen as".
        question: what to look for; "" asks nothing.
        change: what to change for it, with {view} for the view of the highest score; see
            `mfkit.explore.page.collect`.
        map: what the maps shall show: "score", "agreement" or "change".
    """

    why: str = ""
    question: str = ""
    change: str = ""
    map: str = "score"


ORDINARY = Reason(
    "sound, with an ordinary score",
    "One view of another sound part: which views notice, and in which flow?",
    "swap-{view}-2",
    "change",
)
FALSE_ALARM = Reason(
    "sound, but with the highest score of all sound parts: a false alarm",
    "A false alarm. Which camera raises it, and at what?",
)
ONE_CAMERA = Reason(
    "a defect that one camera sees",
    "One camera sees this defect. Who misses the messages most?",
    "silent",
    "change",
)
EVERY_CAMERA = Reason(
    "a defect that every camera sees",
    "Every camera sees this one. Is one camera less a loss?",
    "gone-{view}",
)
MISS = Reason(
    "a miss: the lowest score of all defects",
    "A miss. Where should the maps be bright?",
)
MISFIT = Reason(
    "a set of sound views that do not belong together",
    "No single view is wrong. Does agreement see it?",
    "",
    "agreement",
)


def threshold(latents: Latents, model: str) -> float:
    """The sample score that 95 in 100 sound samples do not exceed, nats per channel."""
    scores, sound = latents.scores[model], ~latents.labels
    return float(np.quantile(scores[sound] if sound.any() else scores, 0.95))


def choose(latents: Latents, most: int = 12) -> dict[int, Reason]:
    """Samples that show something, each for a reason.

    Scores are those of `latents.last`. A rule that finds nothing is left out; what is left over
    goes to codes that are not there yet.

    Arguments:
        latents: samples and flows.
        most: how many samples.

    Returns:
        for each index of a sample why it was chosen; sound samples first.
    """
    model, labels = latents.last, latents.labels
    scores, limit = latents.scores[model], threshold(latents, model)
    found, codes = scores > limit, np.array([sample.code for sample in latents.samples])
    seen = np.array([sum(sample.labels) for sample in latents.samples])
    misfit = np.isin(codes, list(MISFITS))
    plain = labels & ~misfit
    middle = -np.abs(scores - np.median(scores[~labels] if not labels.all() else scores))
    rules = [
        (ORDINARY, ~labels, middle),
        (FALSE_ALARM, ~labels & found, scores),
        (Reason("sound, just below the threshold"), ~labels & ~found, scores),
        (ONE_CAMERA, plain & found & (seen == 1), scores),
        (EVERY_CAMERA, plain & found & (seen == latents.shape[0]), scores),
        (MISS, plain & ~found, -scores),
        (Reason("a near miss"), plain & ~found, scores),
        (MISFIT, misfit, scores),
    ]
    for other in latents.flows:
        if other != model:
            lead = (scores - limit) - (latents.scores[other] - threshold(latents, other))
            rules.append((Reason(f"what alarms {model} more than {other}"), labels, lead))
            rules.append((Reason(f"what alarms {other} more than {model}"), labels, -lead))
    chosen: dict[int, Reason] = {}

    def take(reason: Reason, allowed: np.ndarray, worth: np.ndarray) -> None:
        allowed = [index for index in np.flatnonzero(allowed) if index not in chosen]
        if allowed and len(chosen) < most:
            chosen[max(allowed, key=lambda index: worth[index])] = reason

    for rule in rules[:1]:
        take(*rule)
    colours = _colours(latents, range(len(labels)))
    for _ in range(3):
        near = [np.linalg.norm(colours - colours[index], axis=1) for index in chosen]
        away = np.min(near, axis=0) if near else -middle
        take(Reason("sound, of another colour than those before"), ~labels & ~found, away)
    for rule in rules[1:]:
        take(*rule)
    for code in sorted(set(codes[labels]) - set(codes[list(chosen)])):
        mates = labels & (codes == code)
        typical = -np.abs(scores - np.median(scores[mates]))
        take(Reason("one more kind of defect"), mates, typical)
    return {int(i): chosen[i] for i in sorted(chosen, key=lambda i: bool(labels[i]))}


def donors(latents: Latents, chosen: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """For each chosen sample two sound ones of them to take views from.

    Returns:
        for each index the one most alike in colour and the most unlike one; fewer if there are no
        two that have all their views.
    """
    colours = _colours(latents, chosen)
    sound = [
        place
        for place, index in enumerate(chosen)
        if not latents.labels[index] and all(latents.samples[index].present)
    ]
    pairs = {}
    for place, index in enumerate(chosen):
        far = np.linalg.norm(colours - colours[place], axis=1)
        others = sorted((other for other in sound if other != place), key=lambda other: far[other])
        pairs[index] = tuple(chosen[other] for other in dict.fromkeys(others[:1] + others[-1:]))
    return pairs


def _colours(latents: Latents, indices: Sequence[int]) -> np.ndarray:
    """The mean colour (N, 3) of samples, over all views that are there."""
    return np.nanmean(colours(latents, indices), 1)
