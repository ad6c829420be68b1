"""The panels that are plots: latents against N(0, 1), one position, scores of the set, a change.

All are functions of a `mfkit.explore.scene.Scene`.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from mfkit.explore import panels, standings
from mfkit.explore.limits import rule_limits
from mfkit.explore.rules import RULES
from mfkit.explore.screen import Area
from mfkit.score import auroc

__all__ = [
    "gaussian",
    "gaussian_words",
    "messages",
    "messages_words",
    "position",
    "position_words",
    "set_areas",
    "set_words",
    "whole_set",
]


def gaussian(scene) -> Figure:
    """Latents after a block against N(0, 1)."""
    highest = scene.latents.limits["density"][1]
    return panels.gaussian(scene.both(), scene.state["block"], scene.titles(), highest)


def gaussian_words(scene) -> str:
    """Moments of the chosen view."""
    step = min(scene.state["block"], len(scene.answer.moments) - 1)
    mean, deviation, beyond = scene.answer.moments[step, scene.view]
    return (
        f"{scene.latents.names[scene.view]} after block {step}: mean {mean:.2f}, standard "
        f"deviation {deviation:.2f}, beyond -3 .. 3: {100 * beyond:.2f} % (N(0, 1): 0, 1, "
        "0.27 %). Block 0 are the features."
    )


def _plane(scene) -> standings.Plane:
    """All samples by the model's maximum, and by agreement, the mean, or the other model."""
    ranked, axis = scene.latents.ranked, scene.latents.limits["scores"]
    first = ranked[scene.model]["maximum"][1]
    name = f"score by {scene.model}, nats per channel"
    if scene.other:
        second, other, limits = ranked[scene.other]["maximum"][1], f"by {scene.other}", axis
    else:
        rule = "agreement" if "agreement" in ranked[scene.model] else "mean"
        unit = scene.unit() if rule == "agreement" else "nats per channel"
        second, other = ranked[scene.model][rule][1], f"{rule}, {unit}"
        margin = 0.05 * max(float(np.ptp(second)), 0.1)
        limits = (float(second.min() - margin), float(second.max() + margin))
    return standings.Plane((name, other), np.stack([first, second]), (axis, limits))


def _curves(scene) -> list[standings.Curve]:
    """By every rule; or of both models by the maximum."""
    labels, ranked = scene.latents.labels, scene.latents.ranked
    if scene.other:
        asked = [(scene.model, "maximum", "ink", "-"), (scene.other, "maximum", "other", "--")]
    else:
        lines = zip(RULES, ("-", ":", "--"), strict=True)
        rules = ranked[scene.model]
        asked = [(scene.model, rule, "ink", line) for rule, line in lines if rule in rules]
    found = []
    for model, rule, colour, line in asked:
        scores = ranked[model][rule][1]
        area = (
            float(auroc(labels, torch.from_numpy(scores))) if 0 < labels.sum() < len(labels) else 0
        )
        name = model if scene.other else rule
        found.append(standings.Curve(f"{name} {area:.3f}", scores, colour, line))
    return found


def whole_set(scene) -> Figure:
    """All samples, and the threshold."""
    labels, sample = scene.latents.labels, scene.state["sample"]
    threshold = scene.state["threshold"]
    return standings.standings(_plane(scene), _curves(scene), labels, sample, threshold)


def set_words(scene) -> str:
    """What the threshold finds, and AUROC by every rule."""
    labels, scores = scene.latents.labels, scene.latents.scores[scene.model]
    if labels.all() or not labels.any():
        return "All samples have one label: no ROC curve."
    above = scores > scene.state["threshold"]
    areas = ", ".join(curve.name for curve in _curves(scene))
    return (
        f"The threshold finds {above[labels].sum()} of {labels.sum()} defective samples, with "
        f"{above[~labels].sum()} false alarms among {(~labels).sum()} sound ones; AUROC: {areas}."
    )


def set_areas(scene) -> list[Area]:
    """Every dot is a sample."""
    titles = [sample.title for sample in scene.latents.samples]
    boxes = standings.places(_plane(scene))
    return [
        Area(("sample", index), title, box)
        for index, (title, box) in enumerate(zip(titles, boxes, strict=True))
    ]


def position(scene) -> Figure:
    """One latent, its messages, its nearest patches."""
    z = scene.answer.z[(scene.view, slice(None), *scene.state["position"])].astype(np.float32)
    return panels.position(z, scene.told(), 0.25 * len(z), scene.near())


def position_words(scene) -> str:
    """The largest channels, and what each message is worth."""
    z = scene.answer.z[(scene.view, slice(None), *scene.state["position"])]
    largest = ", ".join(f"{c} ({z[c]:+.1f})" for c in np.abs(z).argsort()[::-1][:5])
    told = ", ".join(f"{sender} {worth:+.1f}" for sender, worth in scene.told().items())
    return (
        f"{scene.place()}: score {scene.answer.nll[scene.at()]:.3f}; largest channels "
        f"{largest}; worth of the messages in nats: {told or 'none arrives'}."
    )


def _standings(scene) -> list[standings.Standing]:
    """How the views stand by every rule that the model knows."""
    latents, found = scene.latents, []
    before = latents.rules(scene.asked(scene.model, whole=True))
    now = latents.rules(scene.question)
    other = latents.rules(scene.asked(scene.other)) if scene.other else {}
    nothing = (np.full(latents.shape[0], np.nan), np.nan)
    labels = latents.labels if latents.labels.all() else ~latents.labels
    for rule, (images, samples) in latents.ranked[scene.model].items():
        unit = scene.unit() if rule == "agreement" else "nats per channel"
        usual = np.nanquantile(
            np.concatenate([images[labels], samples[labels, None]], 1), [0.05, 0.95], axis=0
        )
        shown = [np.append(*told.get(rule, nothing)) for told in (before, now, other)]
        name = f"{rule}, {unit}"
        found.append(standings.Standing(name, rule_limits(latents, rule), usual, *shown))
    return found


def messages(scene) -> Figure:
    """How all views stand by every rule, before and after a change."""
    return standings.messages(_standings(scene), scene.latents.names, scene.changed())


def messages_words(scene) -> str:
    """Image scores, before and after."""
    if not scene.changed():
        return "Nothing is changed: mute a message, swap a view, or take a camera away."
    views = zip(scene.latents.names, scene.whole.images, scene.answer.images, strict=True)
    moved = (f"{name} {before:.3f} → {after:.3f}" for name, before, after in views)
    return "; ".join(moved).replace("nan", "absent")
