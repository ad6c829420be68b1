"""The explorer's panels as one table: which controls each needs, its picture, its words.

Pictures and words are functions of a `mfkit.explore.scene.Scene`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from mfkit.explore import panels, sheets
from mfkit.score import auroc

__all__ = ["SCREENS", "Screen"]


@dataclass(frozen=True)
class Screen:
    """One panel.

    Attributes:
        controls: names of the controls that it needs, beside those that all have.
        figure: scene -> its picture.
        words: scene -> what the picture shows, one line of HTML.
    """

    controls: tuple[str, ...]
    figure: Callable[..., Figure]
    words: Callable[..., str]


def _maps(scene) -> Figure:
    rows = [(name, scene.overlays(answer)) for name, answer in scene.both()]
    return sheets.maps(rows, scene.titles(), scene.latents.limits["nll"], scene.mark())


def _maps_words(scene) -> str:
    edges = ["white: above the threshold"]
    edges += ["cyan: the true defect"] if scene.state["truth"] else []
    edges += ["grey: the object"] if scene.shows_object() else []
    return f"Outlined {'; '.join(edges)}. Above each view: its image score."


def _gaussian(scene) -> Figure:
    highest = scene.latents.limits["density"][1]
    return panels.gaussian(scene.both(), scene.state["block"], scene.titles(), highest)


def _gaussian_words(scene) -> str:
    step = min(scene.state["block"], len(scene.answer.moments) - 1)
    mean, deviation, beyond = scene.answer.moments[step, scene.view]
    return (
        f"{scene.latents.names[scene.view]} after block {step}: mean {mean:.2f}, standard "
        f"deviation {deviation:.2f}, beyond -3 .. 3: {100 * beyond:.2f} % (N(0, 1): 0, 1, "
        "0.27 %). Block 0 are the features."
    )


def _terms(scene) -> Figure:
    limits = [scene.latents.limits[name] for name in ("half", "log_det", "nll")]
    return sheets.terms(scene.answer, scene.titles(), limits, scene.mark())


def _terms_words(scene) -> str:
    parts = ("half", "log_det", "nll")
    half, log_det, nll = (getattr(scene.answer, part)[scene.at()] for part in parts)
    return (
        f"{scene.place()}: |z|² / 2C - logdet / C = {half:.3f} - ({log_det:.3f}) "
        f"= <b>{nll:.3f}</b> nats per channel"
    )


def _set(scene) -> Figure:
    return panels.distribution(
        [(name, scene.latents.scores[name]) for name, _ in scene.both()],
        scene.latents.labels,
        [answer.score for _, answer in scene.both()],
        scene.state["threshold"],
        scene.latents.limits["scores"],
    )


def _set_words(scene) -> str:
    labels, scores = scene.latents.labels, scene.latents.scores[scene.state["model"]]
    if labels.all() or not labels.any():
        return "All samples have one label: no ROC curve."
    above = scores > scene.state["threshold"]
    return (
        f"The threshold finds {above[labels].sum()} of {labels.sum()} defective samples, with "
        f"{above[~labels].sum()} false alarms among {(~labels).sum()} sound ones; AUROC "
        f"{auroc(labels, torch.from_numpy(scores)):.3f}."
    )


def _position(scene) -> Figure:
    z = scene.latent().astype(np.float32)
    return panels.position(z, scene.told(), 0.25 * len(z), scene.near())


def _position_words(scene) -> str:
    z = scene.latent()
    largest = ", ".join(f"{c} ({z[c]:+.1f})" for c in np.abs(z).argsort()[::-1][:5])
    told = ", ".join(f"{sender} {worth:+.1f}" for sender, worth in scene.told().items())
    return (
        f"{scene.place()}: score {scene.answer.nll[scene.at()]:.3f}; largest channels "
        f"{largest}; worth of the messages in nats: {told or 'none arrives'}."
    )


def _messages(scene) -> Figure:
    return panels.messages(
        scene.latents.flows[scene.state["model"]].graph,
        scene.state["muted"],
        scene.latents.names,
        scene.whole.images,
        scene.answer.images,
        scene.state["threshold"],
        scene.latents.limits["scores"],
    )


def _messages_words(scene) -> str:
    if not scene.changed():
        return "Nothing is changed: mute a message, swap a view, or take a camera away."
    views = zip(scene.latents.names, scene.whole.images, scene.answer.images, strict=True)
    moved = (f"{name} {before:.3f} → {after:.3f}" for name, before, after in views)
    return "; ".join(moved).replace("nan", "absent")


def _way_back(scene) -> Figure:
    latents, views = scene.latents, range(len(scene.images))
    rows = [("this sample", [latents.picture(s, v) for v, s in enumerate(scene.images)])]
    if latents.patches is not None:
        x = scene.back().x
        rows.append(("came back", [scene.drawn(x[view], view) for view in views]))
    if scene.state["fraction"]:
        end = [latents.picture(scene.state["towards"], view) for view in views]
        rows.append(("other sample", end))
    return sheets.way_back(rows, latents.names)


def _way_back_words(scene) -> str:
    back = scene.back()
    return (
        f"What came back has the score <b>{back.score:.3f}</b> (mean {back.mean:.3f}); largest "
        f"difference to the features of the sample: {back.error:.1g}. It is drawn with the "
        "nearest training patches."
    )


SCREENS = {
    "maps": Screen(("opacity", "threshold", "truth", "foreground"), _maps, _maps_words),
    "gaussian": Screen(("block", "view"), _gaussian, _gaussian_words),
    "terms": Screen(("view", "position"), _terms, _terms_words),
    "set": Screen(("threshold",), _set, _set_words),
    "position": Screen(("view", "position"), _position, _position_words),
    "messages": Screen(("threshold",), _messages, _messages_words),
    "way back": Screen(("temperature", "towards", "fraction", "draw"), _way_back, _way_back_words),
}
