"""What the explorer looks at: latents and scores of some samples, and of changed ones.

Compute first, then index: whole samples are computed when `Latents` is made; a sample with another
view, a missing camera or a muted message is computed when it is asked for, and remembered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.explore.answers import Answer, answers
from mfkit.explore.patches import PIXELS, Patches
from mfkit.features import Split, present_views
from mfkit.flow import MultiFlow, load_flow
from mfkit.score import nll_map

__all__ = ["GREY", "Latents", "Question", "Return"]

GREY = 225  # where there is no image


@dataclass(frozen=True)
class Question:
    """One sample, perhaps changed, shown to one model.

    Attributes:
        model: a name of `Latents.flows`.
        sample: its index.
        swapped: (view, index of another sample): this view is taken from there.
        absent: views that are left out.
        muted: edges (sender, receiver) that carry no message; those that the model's graph lacks
            are silent anyway.
    """

    model: str
    sample: int
    swapped: tuple[tuple[int, int], ...] = ()
    absent: tuple[int, ...] = ()
    muted: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Return:
    """Features that came back from latents.

    Attributes:
        x: features (V, C, H, W).
        error: largest difference to the features of the sample; 0 if the way back leads there.
        score: what the model says of x: the sample's score by the maximum rule, nats per channel.
        mean: the mean of its score map, nats per channel.
    """

    x: Tensor
    error: float
    score: float
    mean: float


class Latents:
    """Some samples as one or several flows see them.

    Memory: about 0.3 MB a sample and flow at the workshop's size, 1.8 MB at the paper's.

    Arguments:
        flows: a flow or the path of a saved one; or several of them, by name or in a list: models
            to compare, or one model after several epochs. The last one comes first to the eye.
        split: N samples with their features. Positions outside their foreground do not score.
        train: the training split, to show what features mean by the nearest training patches;
            None: the explorer goes without.

    Raises:
        ValueError: no flow, no sample, or sizes that do not fit together.
        InputError: a path holds no flow, or an image cannot be read.
    """

    def __init__(
        self,
        flows: MultiFlow | str | Path | Sequence | Mapping[str, MultiFlow | str | Path],
        split: Split,
        train: Split | None = None,
    ):
        self.flows = _named(flows)
        shapes = {flow.shape for flow in self.flows.values()} | {tuple(split.features.shape[1:])}
        if len(shapes) != 1:
            raise ValueError(f"'flows' and 'features' should agree in (V, C, H, W), got {shapes}")
        self.shape = next(iter(shapes))
        self.split, self.samples = split, split.samples
        self.names = self.samples[0].view_names
        self.labels = np.array([sample.label for sample in self.samples])
        self.patches = None if train is None else Patches(train)
        self.edges = tuple(
            sorted({e for flow in self.flows.values() for e in flow.graph.possible_edges})
        )
        self.blocks = max(len(flow.inn) // 2 for flow in self.flows.values())
        self.whole = {name: self._answers(name) for name in self.flows}
        self.scores = {name: np.array([a.score for a in seen]) for name, seen in self.whole.items()}
        self.limits = self._limits()
        for name, size in (("ask", 64), ("told", 64), ("back", 8), ("picture", 256), ("mask", 256)):
            setattr(self, name, lru_cache(size)(getattr(self, name)))

    @property
    def last(self) -> str:
        """The name of the flow that comes first to the eye."""
        return list(self.flows)[-1]

    def ask(self, question: Question) -> Answer:
        """What the model says; at once for a whole sample."""
        flow, muted = self._heard(question)
        if not (question.swapped or question.absent or muted):
            return self.whole[question.model][question.sample]
        x, present = self._pose(question)
        return answers(flow, x, present, muted, self._shown(question))[0]

    def told(self, question: Question, view: int) -> dict[int, np.ndarray]:
        """What the messages of each neighbour are worth to a view, position by position.

        Returns:
            for each view that it hears a map (H, W) in nats: by how much the negative
            log-likelihood rises when this message falls silent, too. Positive: it helped.
        """
        flow, muted = self._heard(question)
        x, present = self._pose(question)
        heard = [
            edge
            for edge in flow.graph.possible_edges
            if edge[1] == view and edge not in muted and present[0, list(edge)].all()
        ]
        before = self.ask(question).nll[view]
        with torch.no_grad():
            after = (nll_map(*flow(x, present=present, muted=[*muted, edge])) for edge in heard)
            worth = [self.shape[1] * (nll[0, view].numpy() - before) for nll in after]
        return {sender: rise for (sender, _), rise in zip(heard, worth, strict=True)}

    def back(
        self,
        question: Question,
        towards: int | None = None,
        fraction: float = 0.0,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Return:
        """Latents back to features, with the same cameras and messages as on the way there.

        Arguments:
            question: whose latents z.
            towards: index of another sample with latents z'; None: stay at z. Views that the other
                one lacks stay at z, too.
            fraction: 0 .. 1, how far to go on the straight line from z to z'.
            temperature: what the latents are multiplied with in the end.
            seed: draw z from N(0, 1) instead; None: do not.
        """
        flow, muted = self._heard(question)
        x, present = self._pose(question)
        how = {"present": present, "muted": muted}
        with torch.no_grad():
            if seed is not None:
                z = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
            else:
                z, _ = flow(x, **how)
            if towards is not None:
                end, there = self._pose(Question(question.model, towards))
                there = there & present
                if there.any():
                    end, _ = flow(end, present=there, muted=muted)
                    z = torch.where(there[..., None, None, None], z + fraction * (end - z), z)
            new = flow.inverse(temperature * z, **how)
        answer = answers(flow, new, present, muted, self._shown(question))[0]
        error = (new - x)[present].abs().max().item()
        return Return(new[0], error, answer.score, float(answer.nll[answer.present].mean()))

    def position(self, question: Question, view: int) -> Tensor:
        """Features (C, H, W) of one view, as the model is shown them; 0 where it is absent."""
        return self._pose(question)[0][0, view]

    def picture(self, sample: int, view: int) -> np.ndarray:
        """An image (PIXELS, PIXELS, 3) uint8; light grey where there is none."""
        image = self.samples[sample].image(view, PIXELS)
        return np.full((PIXELS, PIXELS, 3), GREY, np.uint8) if image is None else image

    def mask(self, sample: int, view: int) -> np.ndarray:
        """Where the defect shows, (PIXELS, PIXELS) of bool."""
        return self.samples[sample].mask(view, PIXELS)

    def _limits(self) -> dict[str, tuple[float, float]]:
        """Where axes and colours end: the same for all samples, so that they can be compared."""
        shown = self.whole[self.last]
        half, log_det = (
            np.stack([getattr(a, part) for a in shown]) for part in ("half", "log_det")
        )
        images = np.concatenate([a.images for seen in self.whole.values() for a in seen])
        low, high = np.nanmin(images), np.nanmax(images)
        margin = 0.05 * max(high - low, 0.1)
        return {
            "half": tuple(np.quantile(half, [0.02, 0.9995])),
            "log_det": tuple(np.quantile(-log_det, [0.02, 0.9995])),
            "nll": tuple(np.quantile(half - log_det, [0.5, 0.9995])),  # half of them stay dark
            "scores": (float(low - margin), float(high + margin)),
            "density": (0.0, 1.05 * max(answer.density.max() for answer in shown)),
        }

    def _heard(self, question: Question) -> tuple[MultiFlow, list[tuple[int, int]]]:
        """The flow, and which of its edges are muted."""
        flow = self.flows[question.model]
        return flow, [edge for edge in question.muted if edge in flow.graph.possible_edges]

    def _pose(self, question: Question) -> tuple[Tensor, Tensor]:
        """Features (1, V, C, H, W) and present views (1, V) of a question."""
        x, _, _ = self.split[[question.sample]]
        for view, donor in question.swapped:
            x[:, view] = self.split[[donor]][0][:, view]
        x[:, list(question.absent)] = torch.nan
        return x.nan_to_num(), present_views(x)

    def shown(self, samples: Sequence[int]) -> Tensor | None:
        """The foreground of some samples, (B, V, H, W); None: everything counts."""
        return None if self.split.foreground is None else self.split.foreground[samples]

    def _shown(self, question: Question) -> Tensor | None:
        """The foreground (1, V, H, W) of a question; a swapped view brings its own."""
        shown = self.shown([question.sample])
        for view, donor in question.swapped if shown is not None else ():
            shown[:, view] = self.shown([donor])[:, view]
        return shown

    def _answers(self, name: str, batch: int = 8) -> list[Answer]:
        seen = []
        for indices in tqdm(torch.arange(len(self.samples)).split(batch), desc=f"latents, {name}"):
            x, present, shown = self.split[indices]
            seen += answers(self.flows[name], x.nan_to_num(), present, [], shown)
        return seen


def _named(flows) -> dict[str, MultiFlow]:
    """Flows by name; those without one are called by their file or number."""
    if isinstance(flows, MultiFlow | str | Path):
        flows = [flows]
    if not isinstance(flows, Mapping):
        named = (
            flow if isinstance(flow, str | Path) else f"flow {i}" for i, flow in enumerate(flows)
        )
        flows = dict(zip(map(str, named), flows, strict=True))
    if not flows:
        raise ValueError("'flows' should hold at least one flow, got none")
    for name, flow in flows.items():
        if isinstance(flow, MultiFlow) and next(flow.parameters()).device.type != "cpu":
            raise ValueError(f"flow {name!r} should be on the CPU, as the features are: flow.cpu()")
    return {
        name: flow.eval() if isinstance(flow, MultiFlow) else load_flow(flow)
        for name, flow in flows.items()
    }
