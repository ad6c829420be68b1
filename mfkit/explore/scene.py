"""What a state of the explorer shows: its figure, its numbers, its words. No widgets in here."""

import html
import math
from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure

from mfkit.explore import panels, sheets
from mfkit.explore.answers import Answer
from mfkit.explore.latents import GREY, Latents, Question
from mfkit.explore.patches import PIXELS
from mfkit.palette import PALETTE
from mfkit.score import auroc

__all__ = ["PANELS", "Scene", "presets"]

PANELS = ("maps", "gaussian", "terms", "set", "position", "messages", "way back")
ABOVE, OBJECT = "#ffffff", "#bbbbbb"  # outlines on a map: above the threshold, the foreground


class Scene:
    """One state of the explorer; everything here follows from it.

    Arguments:
        latents: the samples and flows.
        state: see `mfkit.explore.LatentExplorer.state`.
    """

    def __init__(self, latents: Latents, state: Mapping):
        self.latents, self.state = latents, state
        self.sample, self.view = latents.samples[state["sample"]], state["view"]
        self.question = self._question(state["model"])
        self.whole = latents.whole[state["model"]][state["sample"]]
        self.answer = latents.ask(self.question)
        self.images = [
            dict(state["swapped"]).get(view, state["sample"]) for view in range(latents.shape[0])
        ]  # the sample that each view is taken from

    def figure(self) -> Figure:
        """The picture."""
        return self._panel("figure")()

    def words(self) -> str:
        """What the picture shows in two lines of HTML, its numbers in them."""
        found = "above" if self.numbers()["found"] else "below"
        known = f"defective ({self.sample.code})" if self.sample.label else "sound"
        before = self._changed() and f", {self.whole.score:.3f} before the change"
        return (
            f"{html.escape(self.sample.name)} is {known}. Sample score "
            f"<b>{self.answer.score:.3f}</b> nats per channel{before or ''}, {found} the threshold "
            f"{self.state['threshold']:.2f}.<br>{self._panel('words')()}"
        )

    def numbers(self) -> dict:
        """Scores in nats per channel, rounded.

        Returns:
            "score" of the sample and "whole", the same before it was changed; "found", whether the
            score is above the threshold; "images", the score of every view, None where absent; and
            "model", "sample" and "panel" as in the state.
        """
        return {
            **{name: self.state[name] for name in ("model", "sample", "panel")},
            "score": round(self.answer.score, 3),
            "whole": round(self.whole.score, 3),
            "found": self.answer.score > self.state["threshold"],
            "images": [None if math.isnan(s) else round(float(s), 3) for s in self.answer.images],
        }

    def overlays(self, answer: Answer) -> list[np.ndarray]:
        """All views with their score maps over them, as the state wants them."""
        return [self.overlay(answer, view) for view in range(len(self.images))]

    def overlay(self, answer: Answer, view: int, marked: bool = False) -> np.ndarray:
        """One view with its score map over it, (PIXELS, PIXELS, 3) uint8; the position marked?"""
        state, latents, source = self.state, self.latents, self.images[view]
        picture = latents.picture(source, view)
        if not answer.present[view]:
            return np.full_like(picture, GREY)
        nll, outlines = answer.map[view], []
        if latents.split.foreground is not None and state["foreground"]:
            shown = latents.shown([source])[0, view].float().numpy()
            outlines.append((sheets.enlarged(shown, PIXELS) > 0.5, OBJECT))
        outlines.append((sheets.enlarged(nll, PIXELS) > state["threshold"], ABOVE))
        if state["truth"]:
            outlines.append((latents.mask(source, view), PALETTE["truth"]))
        if marked:
            here = np.zeros(nll.shape, np.float32)
            here[state["position"]] = 1
            rows, columns = (np.arange(PIXELS) * size // PIXELS for size in here.shape)
            outlines.append((here[rows][:, columns] > 0, ABOVE))
        return sheets.overlay(picture, nll, latents.limits["nll"], state["opacity"], outlines)

    def _panel(self, kind: str):
        return getattr(self, f"_{kind}_{self.state['panel'].replace(' ', '_')}")

    def _question(self, model: str) -> Question:
        changes = {name: self.state[name] for name in ("swapped", "absent", "muted")}
        return Question(model, self.state["sample"], **changes)

    def _changed(self) -> bool:
        return self.answer is not self.whole

    def _both(self) -> list[tuple[str, Answer]]:
        """Name and answer of the model, and of the one that it is compared with."""
        names = dict.fromkeys([self.state["model"], self.state["against"] or self.state["model"]])
        return [(name, self.latents.ask(self._question(name))) for name in names]

    def _titles(self) -> list[str]:
        scores = ("absent" if math.isnan(s) else f"{s:.2f}" for s in self.answer.images)
        return [f"{name}   {score}" for name, score in zip(self.latents.names, scores, strict=True)]

    def _mark(self) -> tuple[float, float, int]:
        row, column = self.state["position"]
        height, width = self.latents.shape[2:]
        return (column + 0.5) / width, (row + 0.5) / height, self.view

    def _at(self) -> tuple[int, int, int]:
        return self.view, *self.state["position"]

    def _figure_maps(self) -> Figure:
        rows = [(name, self.overlays(answer)) for name, answer in self._both()]
        return sheets.maps(rows, self._titles(), self.latents.limits["nll"], self._mark())

    def _words_maps(self) -> str:
        edges = ["white: above the threshold"]
        edges += ["cyan: the true defect"] if self.state["truth"] else []
        if self.latents.split.foreground is not None and self.state["foreground"]:
            edges.append("grey: the object")
        return f"Outlined {'; '.join(edges)}. Above each view: its image score."

    def _figure_gaussian(self) -> Figure:
        highest = self.latents.limits["density"][1]
        return panels.gaussian(self._both(), self.state["block"], self._titles(), highest)

    def _words_gaussian(self) -> str:
        step = min(self.state["block"], len(self.answer.moments) - 1)
        mean, deviation, beyond = self.answer.moments[step, self.view]
        return (
            f"{self.latents.names[self.view]} after block {step}: mean {mean:.2f}, standard "
            f"deviation {deviation:.2f}, beyond -3 .. 3: {100 * beyond:.2f} % (N(0, 1): 0, 1, "
            "0.27 %). Block 0 are the features."
        )

    def _figure_terms(self) -> Figure:
        limits = [self.latents.limits[name] for name in ("half", "log_det", "nll")]
        return sheets.terms(self.answer, self._titles(), limits, self._mark())

    def _words_terms(self) -> str:
        half, log_det, nll = (
            getattr(self.answer, part)[self._at()] for part in ("half", "log_det", "nll")
        )
        return (
            f"{self._place()}: |z|² / 2C - logdet / C = {half:.3f} - ({log_det:.3f}) "
            f"= <b>{nll:.3f}</b> nats per channel"
        )

    def _place(self) -> str:
        row, column = self.state["position"]
        return f"{self.latents.names[self.view]}, row {row}, column {column}"

    def _figure_set(self) -> Figure:
        both, latents = self._both(), self.latents
        return panels.distribution(
            [(name, latents.scores[name]) for name, _ in both],
            latents.labels,
            [answer.score for _, answer in both],
            self.state["threshold"],
            latents.limits["scores"],
        )

    def _words_set(self) -> str:
        labels, scores = self.latents.labels, self.latents.scores[self.state["model"]]
        if labels.all() or not labels.any():
            return "All samples have one label: no ROC curve."
        above = scores > self.state["threshold"]
        return (
            f"The threshold finds {above[labels].sum()} of {labels.sum()} defective samples, with "
            f"{above[~labels].sum()} false alarms among {(~labels).sum()} sound ones; AUROC "
            f"{auroc(labels, torch.from_numpy(scores)):.3f}."
        )

    def _told(self) -> dict[str, float]:
        row, column = self.state["position"]
        told = self.latents.told(self.question, self.view)
        names = self.latents.names
        return {names[sender]: float(worth[row, column]) for sender, worth in told.items()}

    def _figure_position(self) -> Figure:
        row, column = self.state["position"]
        z = self.answer.z[self.view, :, row, column].astype(np.float32)
        return panels.position(z, self._told(), 0.25 * len(z), self._near(row, column))

    def _near(self, row: int, column: int) -> list[np.ndarray]:
        """The patch at a position and the five training patches nearest to it."""
        patches = self.latents.patches
        if patches is None or not self.answer.present[self.view]:
            return []
        x = self.latents.position(self.question, self.view)[:, row, column]
        picture = self.latents.picture(self.images[self.view], self.view)
        near = patches.nearest(x[None], self.view, count=5)[0]
        own = patches.window(picture, row, column)
        return [own, *(patches.around(self.view, index) for index in near)]

    def _words_position(self) -> str:
        z = self.answer.z[self._at()[0], :, *self.state["position"]]
        largest = ", ".join(f"{c} ({z[c]:+.1f})" for c in np.abs(z).argsort()[::-1][:5])
        told = ", ".join(f"{sender} {worth:+.1f}" for sender, worth in self._told().items())
        return (
            f"{self._place()}: score {self.answer.nll[self._at()]:.3f}; largest channels "
            f"{largest}; worth of the messages in nats: {told or 'none arrives'}."
        )

    def _figure_messages(self) -> Figure:
        flow = self.latents.flows[self.state["model"]]
        return panels.messages(
            flow.graph,
            self.state["muted"],
            self.latents.names,
            self.whole.images,
            self.answer.images,
            self.state["threshold"],
            self.latents.limits["scores"],
        )

    def _words_messages(self) -> str:
        if not self._changed():
            return "Nothing is changed: mute a message, swap a view, or take a camera away."
        views = zip(self.latents.names, self.whole.images, self.answer.images, strict=True)
        moved = (f"{name} {before:.3f} → {after:.3f}" for name, before, after in views)
        return "; ".join(moved).replace("nan", "absent")

    def _back(self):
        names = ("towards", "fraction", "temperature")
        return self.latents.back(
            self.question,
            **{name: self.state[name] for name in names},
            seed=self.state["draw"] or None,
        )

    def _figure_way_back(self) -> Figure:
        back, latents = self._back(), self.latents
        views = range(len(self.images))
        rows = [("this sample", [latents.picture(s, v) for v, s in enumerate(self.images)])]
        if latents.patches is not None:
            came = [self._drawn(back.x[v], v) for v in views]
            rows.append(("came back", came))
        if self.state["fraction"]:
            end = [latents.picture(self.state["towards"], v) for v in views]
            rows.append(("other sample", end))
        return sheets.way_back(rows, latents.names)

    def _drawn(self, x: torch.Tensor, view: int) -> np.ndarray:
        """Features (C, H, W) by their nearest training patches; grey if the view is absent."""
        image = self.latents.patches.mosaic(x, view)
        return image if self.answer.present[view] else np.full_like(image, GREY)

    def _words_way_back(self) -> str:
        back = self._back()
        return (
            f"What came back has the score <b>{back.score:.3f}</b> (mean {back.mean:.3f}); largest "
            f"difference to the features of the sample: {back.error:.1g}. It is drawn with the "
            "nearest training patches."
        )


def presets(latents: Latents) -> dict[str, dict]:
    """States that are worth a look, by name; those that the samples allow."""
    scores = latents.scores[latents.last]
    sound = np.flatnonzero(~latents.labels)
    single = np.flatnonzero([sum(sample.labels) == 1 for sample in latents.samples])
    found = {}
    for name, chosen in (
        ("a defect that one camera sees", single),
        ("the hardest sound sample", sound),
    ):
        if len(chosen):
            sample = int(chosen[scores[chosen].argmax()])
            nll = latents.whole[latents.last][sample].nll
            view, *position = map(int, np.unravel_index(nll.argmax(), nll.shape))
            found[name] = {"sample": sample, "view": view, "position": tuple(position)}
    if len(sound) > 1 and latents.shape[0] > 1:
        one, other = map(int, sound[:2])
        found["swapped views"] = {"sample": one, "swapped": ((1, other),), "panel": "messages"}
    return {**found, "reset": {}}
