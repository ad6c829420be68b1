"""One flow for each scale of a pyramid of feature maps; together they are one density."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_shuffle, pixel_unshuffle

from mfkit.flow.density import Density
from mfkit.flow.multiflow import WHOLE, MultiFlow

__all__ = ["Pyramid"]


class Pyramid(Density):
    """Several flows side by side, each over the feature maps of one scale of the same pictures.

    A deep layer of a backbone sees much of a picture on a coarse grid, an earlier one sees details
    on a finer one. Each gets a flow of its own, and the density of an object is their product:
    scales are taken for independent, what they are not, but likelihood and inverse of this density
    are exact. A defect is looked for at every scale, see `mfkit.score.score_map`.

    All scales travel in one tensor x (B, V, C, H, W) on the coarsest grid. A map that is f times as
    fine is folded: its f x f positions inside each position become f^2 times as many channels.
    Nothing is lost, and whatever stores, trains or inspects a `MultiFlow` can do so with this.

    Arguments:
        flows: with noise "none", over (C_s, f H, f W) each, of the same views and graph.
        factors: f of each; the first is 1.

    Raises:
        ValueError: flows that do not belong together.

    Source: a flow for each scale, and maps that are averaged, as in FastFlow, arXiv 2111.07677.

    Example:
        >>> coarse, fine = (MultiFlow(c, s, s, blocks=2, noise="none") for c, s in ((8, 2), (3, 4)))
        >>> z, log_det = Pyramid([coarse, fine], [1, 2])(torch.randn(1, 5, 8 + 4 * 3, 2, 2))
        >>> z.shape, log_det.shape
        (torch.Size([1, 5, 20, 2, 2]), torch.Size([1, 5, 2, 2]))
    """

    def __init__(self, flows: Sequence[MultiFlow], factors: Sequence[int]):
        super().__init__()
        if not flows or len(flows) != len(factors) or factors[0] != 1:
            raise ValueError(f"'factors' should be 1 and one more for each further flow: {factors}")
        views, _, height, width = flows[0].shape
        for flow, factor in zip(flows, factors, strict=True):
            if flow.shape[::2] != (views, factor * height) or flow.shape[3] != factor * width:
                raise ValueError(
                    f"'flows' should have maps {factor} times as fine as {height} x {width} for "
                    f"{views} views, got (V, C, H, W) = {flow.shape}"
                )
            same = flow.graph == flows[0].graph and flow.first_block == flows[0].first_block
            if not same or flow.noise != "none":
                raise ValueError("'flows' should have one graph, the same layers, and no noise")
        self.flows, self.factors = nn.ModuleList(flows), tuple(factors)
        self.parts = [f.shape[1] * n**2 for f, n in zip(flows, factors, strict=True)]
        self.shape = (views, sum(self.parts), height, width)
        self.graph = flows[0].graph
        self.config = {"factors": list(factors), "flows": [flow.config for flow in flows]}

    @classmethod
    def from_config(cls, config: dict) -> "Pyramid":
        """Build the pyramid that another one's `config` describes, with fresh weights."""
        return cls([MultiFlow.from_config(flow) for flow in config["flows"]], config["factors"])

    @property
    def first_block(self) -> int:
        """See `MultiFlow.first_block`: the same at each scale."""
        return self.flows[0].first_block

    @property
    def linear(self) -> bool:
        """See `MultiFlow.linear`."""
        return self.flows[0].linear

    def fit(self, batches: Iterable[Tensor]) -> None:
        """See `MultiFlow.fit`: of each scale."""
        for flow, own in self._apart(batches):
            flow.fit(own)

    def refit(self, batches: Iterable[Tensor]) -> None:
        """See `MultiFlow.refit`: of each scale."""
        for flow, own in self._apart(batches):
            flow.refit(own)

    def _apart(self, batches: Iterable[Tensor]) -> Iterator[tuple[MultiFlow, tuple[Tensor, ...]]]:
        """Each flow, with its scale of all batches."""
        return zip(self.flows, zip(*map(self._unfold, batches), strict=True), strict=True)

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Zeros (samples, 1, H, W): no flow of a pyramid takes noise."""
        return torch.zeros(samples, 1, *self.shape[2:])

    def forward(
        self,
        x: Tensor,
        noise: Tensor | None = None,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
        part: slice = WHOLE,
    ) -> tuple[Tensor, Tensor]:
        """Features to latents, see `MultiFlow.forward`; both folded. There is no noise."""
        return self.fold(self.scales(x, present, muted, part))

    def scales(
        self,
        x: Tensor,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
        part: slice = WHOLE,
    ) -> list[tuple[Tensor, Tensor]]:
        """Latents (B, V, C_s, f H, f W) and log-determinants (B, V, f H, f W) of each scale."""
        pairs = zip(self.flows, self._unfold(x), strict=True)
        return [found for flow, own in pairs for found in flow.scales(own, present, muted, part)]

    def fold(self, scales: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """What `scales` gives as `forward` gives it: nats of a position are those inside it."""
        z = torch.cat([pixel_unshuffle(z, n) for (z, _), n in self._of(scales)], 2)
        log_det = sum(n**2 * avg_pool2d(log_det, n) for (_, log_det), n in self._of(scales))
        return z, log_det

    def inverse(
        self,
        z: Tensor,
        noise: Tensor | None = None,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> Tensor:
        """Latents to features, see `MultiFlow.inverse`; both folded."""
        parts = zip(self.flows, self._unfold(z), strict=True)
        found = [flow.inverse(part, present=present, muted=muted) for flow, part in parts]
        return torch.cat([pixel_unshuffle(x, n) for x, n in self._of(found)], 2)

    def trace(
        self,
        x: Tensor,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> list[Tensor]:
        """Latents after each block, see `MultiFlow.trace`; folded."""
        parts = zip(self.flows, self._unfold(x), strict=True)
        traces = zip(*(flow.trace(part, present, muted) for flow, part in parts), strict=True)
        return [torch.cat([pixel_unshuffle(z, n) for z, n in self._of(step)], 2) for step in traces]

    def _unfold(self, x: Tensor) -> list[Tensor]:
        """(B, V, C, H, W) -> (B, V, C_s, f H, f W) of each scale."""
        if x.shape[1:] != self.shape:
            sizes = ", ".join(map(str, self.shape))
            raise ValueError(f"'x' should be (B, V, C, H, W) = (B, {sizes}), got {tuple(x.shape)}")
        return [pixel_shuffle(part, n) for part, n in self._of(x.split(self.parts, 2))]

    def _of(self, parts: Sequence) -> Iterator[tuple]:
        return zip(parts, self.factors, strict=True)
