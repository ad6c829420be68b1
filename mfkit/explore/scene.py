"""What a state of the explorer shows: its figure, its numbers, its words. No widgets in here."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from matplotlib.figure import Figure

from mfkit import escape
from mfkit.data import CODES, MISFITS
from mfkit.explore import sheets
from mfkit.explore.answers import Answer
from mfkit.explore.drawing import as_figure, encoded, pixels
from mfkit.explore.latents import GREY, Latents
from mfkit.explore.patches import PIXELS
from mfkit.explore.question import Question, Return
from mfkit.explore.screen import Area
from mfkit.explore.screens import SCREENS
from mfkit.explore.sheets import Bar, Sheet
from mfkit.palette import PALETTE

__all__ = ["Scene"]

OBJECT = "#bbbbbb"  # outline of the foreground on a map


class Scene:
    """One state of the explorer; everything here follows from it.

    Arguments:
        latents: the samples and flows.
        state: see `mfkit.explore.LatentExplorer.state`.

    Attributes:
        question, whole, answer: what is asked, and what the model says of the sample as it was
            photographed, and as it is shown.
        sources: for each view the sample that it is taken from.
        model, other: names of flows; `other` is the one to compare with, or "".
    """

    def __init__(self, latents: Latents, state: Mapping):
        self.latents, self.state = latents, state
        self.sample, self.view = latents.samples[state["sample"]], state["view"]
        self.model = state["model"]
        shown = "against" in SCREENS[state["panel"]].controls
        self.other = state["against"] if shown and state["against"] != self.model else ""
        self.question = self.asked(self.model)
        self.whole = latents.whole[self.model][state["sample"]]
        self.answer = latents.ask(self.question)
        swapped = dict(self.question.swapped)
        self.sources = [swapped.get(view, state["sample"]) for view in range(latents.shape[0])]

    @cached_property
    def drawing(self) -> Sheet | Figure:
        """What the panel shows."""
        return SCREENS[self.state["panel"]].drawing(self)

    def figure(self) -> Figure:
        """The picture as a figure of matplotlib."""
        return as_figure(self.drawing)

    def picture(self) -> bytes:
        """The picture as PNG."""
        return encoded(pixels(self.drawing))

    def areas(self) -> list[Area]:
        """Where one can click in the picture."""
        return SCREENS[self.state["panel"]].areas(self)

    def words(self) -> str:
        """What the picture shows in some lines of HTML, its numbers in them."""
        above = "above" if self.numbers()["found"] else "below"
        before = f", {self.whole.score:.3f} before the change" if self.changed() else ""
        return (
            f"{escape.html(self.known())} Sample score <b>{self.answer.score:.3f}</b> nats per "
            f"channel{before}, {above} the threshold {self.state['threshold']:.2f}"
            f"{self._agreement()}.<br>{SCREENS[self.state['panel']].words(self)}"
        )

    def known(self) -> str:
        """What is known about the part, its code explained."""
        sample = self.sample
        if not sample.label:
            return f"{sample.name} is sound."
        meaning = CODES.get(sample.code, MISFITS.get(sample.code, "a defect"))
        seen = [n for n, bad in zip(self.latents.names, sample.labels, strict=True) if bad]
        where = f"in {', '.join(seen)}" if seen else "in no single view"
        return f"{sample.name} is defective: {meaning} (code {sample.code}), {where}."

    def _agreement(self) -> str:
        agreement = self.latents.agrees(self.question)
        if agreement is None:
            return ""
        value, unit = agreement.samples.item(), self.unit()
        ranks = self.latents.ranked[self.model]["agreement"][1][~self.latents.labels]
        return (
            f"; agreement {value:.2f} {unit}, above {(ranks < value).sum()} of {len(ranks)} sound"
        )

    def numbers(self) -> dict:
        """Scores in nats per channel, rounded.

        Returns:
            "score" of the sample and "whole", the same before it was changed; "found", whether the
            score is above the threshold; "images", the score of every view, None where absent;
            "agreement" of the sample, None where there is none; and "model", "sample" and "panel"
            as in the state.
        """
        agreement = self.latents.agrees(self.question)
        return {
            **{name: self.state[name] for name in ("model", "sample", "panel")},
            "score": round(self.answer.score, 3),
            "whole": round(self.whole.score, 3),
            "found": self.answer.score > self.state["threshold"],
            "images": [None if math.isnan(s) else round(float(s), 3) for s in self.answer.images],
            "agreement": agreement and round(agreement.samples.item(), 3),
        }

    def asked(self, model: str, whole: bool = False) -> Question:
        """The question to a model; `whole` asks about the sample as it was photographed."""
        whole = whole or self.state["before"]
        changes = {} if whole else {n: self.state[n] for n in ("swapped", "absent", "muted")}
        return Question(model, self.state["sample"], **changes)

    def changed(self) -> bool:
        """Is the sample not as it was photographed?"""
        return self.answer is not self.whole

    def unit(self) -> str:
        """Of agreement."""
        return "nats per channel" if self.latents.usual[self.model] is None else "spreads"

    def kind(self) -> str:
        """What maps show: "score", "agreement", or "change"; without a change there is none."""
        kind = self.state["map"]
        return kind if kind != "change" or self.changed() or self.other else "score"

    def bar(self, kind: str) -> Bar:
        """The colours of a kind of map."""
        if kind == "score":
            return Bar("nats per channel", self.latents.limits["nll"])
        unit = self.unit() if kind == "agreement" else "nats per channel"
        return Bar(unit, self.latents.limits[kind], signed=True)

    def values(self, kind: str, question: Question) -> np.ndarray:
        """A map (V, H, W) of the kind "score" or "agreement"; 0 where nobody talks."""
        answer = self.latents.ask(question)
        if kind == "score":
            return answer.map
        agreement = self.latents.agrees(question)
        return np.zeros_like(answer.map) if agreement is None else agreement.maps[0].numpy()

    def overlays(
        self,
        kind: str,
        values: np.ndarray,
        question: Question,
        views: Sequence[int] | None = None,
    ) -> list[np.ndarray]:
        """Views with a map over them, as the state wants them, (PIXELS, PIXELS, 3) uint8 each.

        Arguments:
            kind: of the map.
            values: (V, H, W).
            question: whose pictures.
            views: None: all.
        """
        views = range(len(self.sources)) if views is None else views
        large = sheets.enlarged(values[list(views)], PIXELS)
        return [
            self._overlay(kind, each, question, view)
            for each, view in zip(large, views, strict=True)
        ]

    def _overlay(self, kind: str, values: np.ndarray, question: Question, view: int) -> np.ndarray:
        state, latents = self.state, self.latents
        source = dict(question.swapped).get(view, question.sample)
        picture = latents.picture(source, view)
        if np.isnan(values).all():
            return np.full_like(picture, GREY)
        outlines = []
        if self.shows_object():
            shown = latents.shown([source])[0, view].float().numpy()
            outlines.append((sheets.enlarged(shown[None], PIXELS)[0] > 0.5, OBJECT))
        if kind == "score":
            outlines.append((values > state["threshold"], PALETTE["above"]))
        if state["truth"]:
            outlines.append((latents.mask(source, view), PALETTE["truth"]))
        return sheets.overlay(picture, values, self.bar(kind), state["opacity"], outlines)

    def pictures(self) -> list[np.ndarray]:
        """All views without maps."""
        there = zip(self.sources, self.answer.present, strict=True)
        return [
            self.latents.picture(source, view)
            if seen
            else np.full((PIXELS,) * 2 + (3,), GREY, "u1")
            for view, (source, seen) in enumerate(there)
        ]

    def close_up(self) -> bytes:
        """The chosen view with its map, the position marked, as PNG."""
        kind = self.state["map"] if self.state["map"] == "agreement" else "score"
        values = self.values(kind, self.question)
        (image,) = self.overlays(kind, values, self.question, [self.view])
        row, column = self.state["position"]
        high, wide = (PIXELS / count for count in self.latents.shape[2:])
        for inset, colour in ((0, 255), (2, 51)):
            frame = np.zeros(image.shape[:2], bool)
            top, left = round(row * high) + inset, round(column * wide) + inset
            bottom, right = round((row + 1) * high) - inset, round((column + 1) * wide) - inset
            frame[top:bottom, left:right] = True
            frame[top + 2 : bottom - 2, left + 2 : right - 2] = False
            image[frame] = colour
        return encoded(image)

    def shows_object(self) -> bool:
        """Shall the foreground be outlined, and is there one?"""
        return self.latents.split.foreground is not None and self.state["foreground"]

    def both(self) -> list[tuple[str, Answer]]:
        """Name and answer of the model, and of the one that it is compared with."""
        names = [self.model, self.other] if self.other else [self.model]
        return [(name, self.latents.ask(self.asked(name))) for name in names]

    def titles(self) -> list[str]:
        """Every view's name with its image score, and how it has moved."""
        found = []
        scores = zip(self.latents.names, self.answer.images, self.whole.images, strict=True)
        for name, score, before in scores:
            moved = f" ({_short(score - before, '+')})" if abs(score - before) >= 0.005 else ""
            found.append(f"{name}  {'absent' if math.isnan(score) else _short(score)}{moved}")
        return found

    def frames(self, rows: range | list[int]) -> dict[tuple[int, int], str]:
        """Swapped views of some rows, framed, and where they come from."""
        return {
            (row, view): self.latents.samples[donor].title
            for row in rows
            for view, donor in self.question.swapped
        }

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
        picture = self.latents.picture(self.sources[self.view], self.view)
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


def _short(value: float, sign: str = "") -> str:
    """A number in few letters."""
    return f"{value:{sign}.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"
