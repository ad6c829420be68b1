"""What a state of the explorer shows: its figure, its numbers, its words. No widgets in here."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure

from mfkit import escape
from mfkit.explore import sheets
from mfkit.explore.answers import Answer
from mfkit.explore.latents import GREY, Latents, Question, Return
from mfkit.explore.patches import PIXELS
from mfkit.explore.screens import SCREENS
from mfkit.palette import PALETTE

__all__ = ["Scene", "presets"]

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
        return SCREENS[self.state["panel"]].figure(self)

    def words(self) -> str:
        """What the picture shows in two lines of HTML, its numbers in them."""
        found = "above" if self.numbers()["found"] else "below"
        known = f"defective ({self.sample.code})" if self.sample.label else "sound"
        before = self.changed() and f", {self.whole.score:.3f} before the change"
        return (
            f"{escape.html(self.sample.name)} is {escape.html(known)}. Sample score "
            f"<b>{self.answer.score:.3f}</b> nats per channel{before or ''}, {found} the threshold "
            f"{self.state['threshold']:.2f}.<br>{SCREENS[self.state['panel']].words(self)}"
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
        if self.shows_object():
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

    def changed(self) -> bool:
        """Is the sample not as it was photographed?"""
        return self.answer is not self.whole

    def shows_object(self) -> bool:
        """Shall the foreground be outlined, and is there one?"""
        return self.latents.split.foreground is not None and self.state["foreground"]

    def both(self) -> list[tuple[str, Answer]]:
        """Name and answer of the model, and of the one that it is compared with."""
        names = dict.fromkeys([self.state["model"], self.state["against"] or self.state["model"]])
        return [(name, self.latents.ask(self._question(name))) for name in names]

    def titles(self) -> list[str]:
        """Every view's name with its image score."""
        scores = ("absent" if math.isnan(s) else f"{s:.2f}" for s in self.answer.images)
        return [f"{name}   {score}" for name, score in zip(self.latents.names, scores, strict=True)]

    def mark(self) -> tuple[float, float, int]:
        """Where the position is: x and y as shares of the image, and the view."""
        row, column = self.state["position"]
        height, width = self.latents.shape[2:]
        return (column + 0.5) / width, (row + 0.5) / height, self.view

    def at(self) -> tuple[int, int, int]:
        """View, row and column of the position."""
        return self.view, *self.state["position"]

    def place(self) -> str:
        """The position in words."""
        row, column = self.state["position"]
        return f"{self.latents.names[self.view]}, row {row}, column {column}"

    def latent(self) -> np.ndarray:
        """The latent (C,) of the position."""
        row, column = self.state["position"]
        return self.answer.z[self.view, :, row, column]

    def told(self) -> dict[str, float]:
        """What each neighbour's message is worth at the position, in nats, by the view's name."""
        row, column = self.state["position"]
        told = self.latents.told(self.question, self.view)
        names = self.latents.names
        return {names[sender]: float(worth[row, column]) for sender, worth in told.items()}

    def near(self) -> list[np.ndarray]:
        """The patch at the position and the five training patches nearest to it."""
        patches, (row, column) = self.latents.patches, self.state["position"]
        if patches is None or not self.answer.present[self.view]:
            return []
        x = self.latents.position(self.question, self.view)[:, row, column]
        picture = self.latents.picture(self.images[self.view], self.view)
        near = patches.nearest(x[None], self.view, count=5)[0]
        own = patches.window(picture, row, column)
        return [own, *(patches.around(self.view, index) for index in near)]

    def back(self) -> Return:
        """What comes back from the latents, see `Latents.back`."""
        names = ("towards", "fraction", "temperature")
        return self.latents.back(
            self.question,
            **{name: self.state[name] for name in names},
            seed=self.state["draw"] or None,
        )

    def drawn(self, x: torch.Tensor, view: int) -> np.ndarray:
        """Features (C, H, W) by their nearest training patches; grey if the view is absent."""
        image = self.latents.patches.mosaic(x, view)
        return image if self.answer.present[view] else np.full_like(image, GREY)

    def _question(self, model: str) -> Question:
        changes = {name: self.state[name] for name in ("swapped", "absent", "muted")}
        return Question(model, self.state["sample"], **changes)


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
