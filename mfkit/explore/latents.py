"""What the explorer looks at: latents and scores of some samples, and of changed ones.

Compute first, then index: whole samples are computed when `Latents` is made; a sample with another
view, a missing camera or a muted message is computed when it is asked for, and remembered.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.errors import InputError
from mfkit.explore.answers import Answer, answers
from mfkit.explore.limits import colour_limits
from mfkit.explore.patches import PIXELS, Patches
from mfkit.explore.presets import presets
from mfkit.explore.question import Question, Return
from mfkit.explore.rules import alone_maps, by_rule, usual_agreement
from mfkit.features import Split, present_views
from mfkit.flow import MultiFlow, load_flow
from mfkit.score import Agreement, Usual, nll_map

__all__ = ["GREY", "Latents"]

GREY = 225  # where there is no image
CACHES = {"ask": 64, "agrees": 64, "told": 64, "back": 8, "picture": 256, "mask": 256}


class Latents:
    """Some samples as one or several flows see them.

    Memory: about 0.3 MB a sample and flow at the workshop's size, 1.8 MB at the paper's.

    Arguments:
        flows: a flow or the path of a saved one; or several of them, by name or in a list: models
            to compare, or one model after several epochs. The last one comes first to the eye.
        split: N samples with their features. Positions outside their foreground do not score.
        train: the training split. It shows what features mean, by the nearest training patches, and
            says how well views of sound samples agree; None: the explorer goes without.
        usual: the latter, by the name of the flow, for flows that brought it from their training;
            None: asked of `train`.

    Attributes:
        whole: for each flow what it makes of every sample.
        scores: the same as sample scores (N,) by the maximum rule, nats per channel.
        ranked: the same by every rule: images (N, V) and samples (N,).
        agreed: the agreement of every sample; None for a flow without messages.
        labels: (N,) of bool, True for defective.

    Raises:
        ValueError: no flow, no sample, or sizes that do not fit together.
        InputError: a path holds no flow, or an image cannot be read.
    """

    def __init__(
        self,
        flows: MultiFlow | str | Path | Sequence | Mapping[str, MultiFlow | str | Path],
        split: Split,
        train: Split | None = None,
        usual: Mapping[str, Usual] | None = None,
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
        self.alone = {
            name: alone_maps(flow, split, self.whole[name]) for name, flow in self.flows.items()
        }
        self.usual = {
            name: (usual or {}).get(name) or usual_agreement(flow, train)
            for name, flow in self.flows.items()
        }
        every = range(len(self.samples))
        self.agreed = {
            name: [self.agrees(Question(name, index)) for index in every]
            if flow.graph.possible_edges
            else None
            for name, flow in self.flows.items()
        }
        self.ranked = {name: self._ranked(name) for name in self.flows}
        self.limits = colour_limits(self)
        for name, size in CACHES.items():
            setattr(self, name, lru_cache(size)(getattr(self, name)))

    @cached_property
    def presets(self) -> dict[str, dict]:
        """States that are worth a look, see `mfkit.explore.presets.presets`."""
        return presets(self)

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

    def agrees(self, question: Question) -> Agreement | None:
        """Do the views belong together? The score with messages against that with all muted.

        In spreads above what is usual in training, and then by the maximum rule, if `usual` is
        known; otherwise in nats per channel by the mean rule. It can be trusted if the flow was
        trained with message dropout.

        Returns:
            of one sample; None for a flow without messages, or if all of them are muted.
        """
        flow, muted = self._heard(question)
        if len(muted) == len(flow.graph.possible_edges):
            return None
        answer, swapped = self.ask(question), dict(question.swapped)
        alone = [  # without messages every view knows of itself alone
            self.alone[question.model][swapped.get(view, question.sample)][view]
            for view in range(self.shape[0])
        ]
        maps = torch.from_numpy(answer.nll - np.stack(alone))[None]
        present = torch.from_numpy(answer.present)[None]
        return Agreement.of(maps, self._shown(question), present, self.usual[question.model])

    def rules(self, question: Question) -> dict[str, tuple[np.ndarray, float]]:
        """Image scores (V,) and the sample's score by each rule that applies, see `by_rule`."""
        return by_rule(self.ask(question), self._shown(question), self.agrees(question))

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
        if not present_views(x).any():
            raise InputError("No camera is left, so there is nothing to score: put one back.")
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

    def _ranked(self, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Images (N, V) and samples (N,) by every rule that applies."""
        each = [self.rules(Question(name, index)) for index in range(len(self.samples))]
        return {
            rule: (np.stack([r[rule][0] for r in each]), np.array([r[rule][1] for r in each]))
            for rule in each[0]
        }

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
