"""One normalizing flow over the features of all views; its log-determinant is a map."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from mfkit.flow.chain import MapChain
from mfkit.flow.coupling import CrossViewCoupling, MapModule, ViewPermutation
from mfkit.flow.density import Density
from mfkit.flow.linear_messages import LinearMessages
from mfkit.flow.noise import NOISE_SCALE, NOISES
from mfkit.flow.standardize import Standardize
from mfkit.flow.views import ViewGraph
from mfkit.flow.whiten import Whiten

__all__ = ["MultiFlow"]

WHOLE = slice(None)


class MultiFlow(Density):
    """Normalizing flow over the feature maps of all views: blocks of permutation and coupling.

    In training, a noise map n (1, H, W) is added to all channels, and the couplings are told 20 n.

    A view may be absent. It sends no message, means run over the views that are left, and its
    latents and log-determinants are 0: what remains is an exact density over the views that are
    present (one of its own, not the marginal of the density over all views).

    Arguments:
        channels, height, width: C, H, W of a feature map.
        graph: which view hears which; it also fixes V.
        blocks: K, the number of [ViewPermutation, CrossViewCoupling] pairs.
        hidden: channels of the hidden maps in the couplings' networks.
        kernel_sizes: one odd number a block; None means 3, ..., 3, 5.
        clamp: bound of a coupling's log-scale.
        noise: "simplenet" (0.15 N(0, 1)), "softflow" (c^2 N(0, 1), c ~ U(0, 1) a sample),
            "uniform" (U(0, 1)) or "none".
        message: see `CrossViewNet`; "none": couplings hear no other view, linear messages speak.
        seed: of the permutations, and of what a shuffled graph draws.
        standardize, whiten: features go through `Standardize` or `Whiten` first; with whitening
            and no block the flow is a Gaussian for each view and position. `fit` it.
        linear: and before that through `LinearMessages`.

    Raises:
        ValueError: fewer than two channels, no block and nothing in place of one, no hidden
            channel, an unknown noise or message, or kernel sizes and clamp that make no sense.

    Source: arXiv 2504.03306 and the defaults of its released code.

    Example:
        >>> flow = MultiFlow(8, 4, 4, blocks=2, hidden=4).eval()
        >>> x = torch.randn(3, 5, 8, 4, 4)
        >>> z, log_det = flow(x)
        >>> z.shape, log_det.shape, torch.allclose(flow.inverse(z), x)
        (torch.Size([3, 5, 8, 4, 4]), torch.Size([3, 5, 4, 4]), True)
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        graph: ViewGraph = ViewGraph.wheel(),
        blocks: int = 6,
        hidden: int = 64,
        kernel_sizes: Sequence[int] | None = None,
        clamp: float = 1.9,
        noise: str = "simplenet",
        message: str = "conv",
        seed: int = 0,
        standardize: bool = False,
        whiten: bool = False,
        linear: bool = False,
    ):
        config = dict(locals())  # plain values: what a file of weights needs to build it again
        config = {name: config[name] for name in config if name not in ("self", "__class__")}
        super().__init__()
        if standardize and whiten:
            raise ValueError("'standardize' and 'whiten' should not both be asked for")
        least = 0 if standardize or whiten or linear else 1
        for name, size, low in (("blocks", blocks, least), ("hidden", hidden, 1)):
            if size < low:
                raise ValueError(f"'{name}' should be at least {low}, got {size}")
        kernel_sizes = list(kernel_sizes or ([3] * (blocks - 1) + [5])[:blocks])
        if len(kernel_sizes) != blocks:
            wanted = f"hold one size for each of {blocks} blocks"
            raise ValueError(f"'kernel_sizes' should {wanted}, got {kernel_sizes}")
        if channels < 2:
            raise ValueError(f"'channels' should be at least 2, to be split, got {channels}")
        if noise not in NOISES:
            raise ValueError(f"'noise' should be one of {', '.join(NOISES)}, got {noise!r}")
        self.shape = (graph.views, channels, height, width)
        self.graph, self.noise = graph, noise
        self.config = config | {"graph": graph.config, "kernel_sizes": kernel_sizes}
        dims = (channels, graph.views, height, width)
        told = ViewGraph.empty(graph.views) if message == "none" else graph
        condition = {"cond": 0, "cond_shape": (1, *dims[1:])} if noise != "none" else {}
        self.inn = MapChain(*dims)
        if linear:
            self.inn.append(LinearMessages, graph=graph)
        if standardize or whiten:
            self.inn.append(Whiten if whiten else Standardize)
        for block, kernel_size in enumerate(kernel_sizes, 1000 * seed):
            self.inn.append(ViewPermutation, seed=block)
            self.inn.append(
                CrossViewCoupling,
                **condition,
                graph=told,
                hidden=hidden,
                kernel_size=kernel_size,
                clamp=clamp,
                message="conv" if message == "none" else message,
                seed=block,
            )

    @classmethod
    def from_config(cls, config: dict) -> "MultiFlow":
        """Build the flow that another one's `config` describes, with fresh weights."""
        return cls(**{**config, "graph": ViewGraph(**config["graph"])})

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Fit what comes before the first block to training features, if anything does.

        Each layer is fitted to the features themselves, for linear messages leave the mean and
        spread of every view as they are.

        Arguments:
            batches: tensors (B, V, C, H, W); NaN where a view is missing.
        """
        batches = list(batches) if self.first_block > 1 else batches
        for layer in list(self.inn)[: self.first_block]:
            layer.fit(batches)

    def refit(self, batches: Iterable[Tensor]) -> None:
        """`fit` other samples with what the last ones chose: how much is shrunk and shared.

        Arguments:
            batches: see `fit`.
        """
        batches = list(batches) if self.first_block > 1 else batches
        for layer in list(self.inn)[: self.first_block]:
            layer.refit(batches)

    @property
    def first_block(self) -> int:
        """How many modules stand before the first block: those that `fit` fits."""
        return sum(hasattr(module, "fit") for module in self.inn)

    @property
    def linear(self) -> bool:
        """Does a view tell others what is linear?"""
        return self.config["linear"]

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise maps n of the flow's kind: (samples, 1, H, W), on the CPU; zeros for "none"."""
        return NOISES[self.noise]((samples, 1, *self.shape[2:]), generator)

    def forward(
        self,
        x: Tensor,
        noise: Tensor | None = None,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
        part: slice = WHOLE,
    ) -> tuple[Tensor, Tensor]:
        """Features to latents.

        Arguments:
            x: (B, V, C, H, W); what it holds for an absent view does not matter.
            noise: n of shape (B, 1, H, W). None draws one in training mode and is 0 in evaluation
                mode.
            present: (B, V) of bool, at least one view a sample; None: all are.
            muted: edges (sender, receiver) of the graph that carry no message.
            part: which modules x goes through; first come those that are fitted, see `first_block`.

        Returns:
            z (B, V, C, H, W), and the log-determinant (B, V, H, W) in nats; 0 in absent views.
        """
        self._check(x)
        noise = self._noise(x, noise)
        z, log_det = x + noise.unsqueeze(1), self._zeros(x).expand(-1, self.graph.views, -1, -1)
        for z, log_det in self._steps(z, noise, present, muted, list(self.inn)[part]):  # noqa: B007, B020
            pass
        return _shown(z, present), _shown(log_det, present)

    def scales(
        self,
        x: Tensor,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
        part: slice = WHOLE,
    ) -> list[tuple[Tensor, Tensor]]:
        """z and the log-determinant at each scale, see `Pyramid.scales`: here there is one."""
        return [self(x, None, present, muted, part)]

    def fold(self, scales: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """What `scales` gives as `forward` gives it."""
        return scales[0]

    def inverse(
        self,
        z: Tensor,
        noise: Tensor | None = None,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> Tensor:
        """Latents to features, the noise taken off again: `inverse(flow(x, n)[0], n)` is x.

        Arguments:
            z: (B, V, C, H, W).
            noise: the n that `forward` was given; None is 0.
            present, muted: as in `forward`.

        Returns:
            x (B, V, C, H, W); 0 in absent views.
        """
        self._check(z)
        noise = self._zeros(z) if noise is None else self._noise(z, noise)
        for x, _ in self._steps(z, noise, present, muted, list(self.inn)[::-1], rev=True):  # noqa: B007
            pass
        return _shown(x - noise.unsqueeze(1), present)

    def trace(
        self,
        x: Tensor,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> list[Tensor]:
        """Latents after each of the K blocks, at n = 0; the last entry is z, also without blocks.

        Arguments:
            x: (B, V, C, H, W).
            present, muted: as in `forward`.

        Returns:
            K tensors (B, V, C, H, W), at least one.
        """
        self._check(x)
        steps = self._steps(x, self._zeros(x), present, muted, self.inn)
        ends = (isinstance(part, CrossViewCoupling) or part is self.inn[-1] for part in self.inn)
        return [_shown(z, present) for (z, _), end in zip(steps, ends, strict=True) if end]

    def _steps(
        self,
        x: Tensor,
        noise: Tensor,
        present: Tensor | None,
        muted: Sequence[tuple[int, int]],
        modules: Iterable[MapModule],
        rev: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Latents and log-determinant so far behind each of the modules, in one direction."""
        heard = self.graph.heard(x.shape[0], present, muted)
        told = NOISE_SCALE * noise.unsqueeze(2).expand(-1, -1, self.graph.views, -1, -1)
        conditions = [told] if self.noise != "none" else []
        conditions += [] if heard is None else [heard.to(x.device)]
        idle = (LinearMessages,) if set(muted) >= set(self.graph.possible_edges) else ()
        y = _shown(x, present).transpose(1, 2)
        for z, log_det in self.inn.steps(y, conditions, modules, idle, rev):
            yield z.transpose(1, 2), log_det

    def _check(self, x: Tensor) -> None:
        if x.shape[1:] != self.shape:
            sizes = ", ".join(map(str, self.shape))
            raise ValueError(f"'x' should be (B, V, C, H, W) = (B, {sizes}), got {tuple(x.shape)}")

    def _noise(self, x: Tensor, noise: Tensor | None) -> Tensor:
        if noise is None:
            noise = self.draw_noise(x.shape[0]) if self.training else self._zeros(x)
        expected = (x.shape[0], 1, *x.shape[3:])
        if noise.shape != expected:
            raise ValueError(f"'noise' should be {expected}, got {tuple(noise.shape)}")
        return noise.to(x)

    def _zeros(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], 1, *x.shape[3:])

    def extra_repr(self) -> str:
        """Say what flows, and along which graph."""
        views, channels, height, width = self.shape
        sizes = f"V={views}, C={channels}, H={height}, W={width}, blocks={self.config['blocks']}"
        return f"{sizes}, noise={self.noise!r},\n{self.graph}"


def _shown(x: Tensor, present: Tensor | None) -> Tensor:
    """(B, V, ...) with zeros in absent views, whatever they held."""
    if present is None:
        return x
    return x.masked_fill(~present.to(x.device).reshape(*present.shape, *[1] * (x.ndim - 2)), 0)
