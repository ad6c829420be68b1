"""One normalizing flow over the features of all views, with a log-determinant for every position.

Outside, tensors are (B, V, C, H, W). Inside, FrEIA sees (B, C, V, H, W), so that axis 1 is what
FrEIA thinks it is: the channels.
"""

import math
from collections.abc import Sequence

import torch
from FrEIA.framework import SequenceINN
from FrEIA.modules import InvertibleModule
from torch import Tensor, nn

from mfkit.messages import CrossViewNet
from mfkit.views import ViewGraph

__all__ = ["NOISES", "CrossViewCoupling", "MapModule", "MultiFlow", "ViewPermutation"]

NOISE_SCALE = 20.0  # the st-networks see 20 n, so that a faint noise map is a strong signal


class MapModule(InvertibleModule):
    """An invertible module over (B, C, V, H, W) whose log-determinant is a map (B, V, H, W).

    FrEIA's own modules sum the log-determinant over the sample, which says that something is
    unlikely but not where. What goes into a `MultiFlow` therefore derives from this class.
    """

    def output_dims(self, input_dims):
        """Shapes do not change."""
        return input_dims


class ViewPermutation(MapModule):
    """A fixed random permutation of the channels, a different one for each view.

    New channel c of view v is old channel `permutation[v, c]`.

    Arguments:
        dims_in: [(C, V, H, W)].
        seed: of the permutations; the global random state is left alone.
    """

    def __init__(self, dims_in, dims_c=None, *, seed: int):
        super().__init__(dims_in, dims_c)
        channels, views = dims_in[0][:2]
        generator = torch.Generator().manual_seed(seed)
        order = [torch.randperm(channels, generator=generator) for _ in range(views)]
        self.register_buffer("permutation", torch.stack(order))

    def forward(self, x_or_z, c=None, rev=False, jac=True):
        """See `CrossViewCoupling.forward`; the log-determinant is 0."""
        (x,) = x_or_z
        order = self.permutation.argsort(1) if rev else self.permutation
        views = torch.arange(len(order), device=x.device)
        return (x[:, order.T, views],), x.new_zeros(x.shape[0], *x.shape[2:])


class CrossViewCoupling(MapModule):
    """Two-sided affine coupling over all views at once.

    The channels are split into x1 (the first C // 2) and x2 (the rest). With the soft clamp
    `ls(s) = clamp * 0.636 * atan(s / clamp)`:

        s, t = net2(x2);  z1 = exp(ls(s)) * x1 + t
        s, t = net1(z1);  z2 = exp(ls(s)) * x2 + t

    Each half is moved by numbers that depend only on the other half, of all views. So the Jacobian
    is triangular however the views talk to each other, and its log-determinant is the sum of the
    log-scales. Summed over the channels alone it stays a map: what each view and position adds.

    Arguments:
        dims_in: [(C, V, H, W)].
        dims_c: [(N, V, H, W)] of a condition that both networks see, or nothing.
        graph, hidden, kernel_size, message: see `CrossViewNet`.
        clamp: the log-scale of one half stays below this number (0.636 is about 2 / pi).

    Source: arXiv 2504.03306. FrEIA's blocks clamp with `atan(s)`, without the division.
    """

    def __init__(
        self,
        dims_in,
        dims_c=None,
        *,
        graph: ViewGraph,
        hidden: int = 64,
        kernel_size: int = 3,
        clamp: float = 1.9,
        message: str = "conv",
    ):
        super().__init__(dims_in, dims_c)
        channels = dims_in[0][0]
        condition = sum(dims[0] for dims in self.dims_c)
        self.clamp = clamp
        self.split = [channels // 2, channels - channels // 2]
        first, second = self.split
        self.net1 = CrossViewNet(first + condition, 2 * second, graph, hidden, kernel_size, message)
        self.net2 = CrossViewNet(second + condition, 2 * first, graph, hidden, kernel_size, message)

    def forward(self, x_or_z, c=None, rev=False, jac=True):
        """Map x to z, or back.

        Arguments:
            x_or_z: tuple of one tensor (B, C, V, H, W).
            c: list of one condition (B, N, V, H, W), or nothing.
            rev: go back.
            jac: kept for FrEIA; the log-determinant costs nothing here.

        Returns:
            tuple of one tensor (B, C, V, H, W), and the log-determinant (B, V, H, W) in nats of the
            direction that was asked for.
        """
        one, two = x_or_z[0].split(self.split, dim=1)
        if rev:
            two, log_det1 = self._move(two, self.net1, one, c, rev)
            one, log_det2 = self._move(one, self.net2, two, c, rev)
        else:
            one, log_det2 = self._move(one, self.net2, two, c, rev)
            two, log_det1 = self._move(two, self.net1, one, c, rev)
        return (torch.cat([one, two], dim=1),), log_det1 + log_det2

    def _move(self, moved: Tensor, net: CrossViewNet, seen: Tensor, c, rev: bool):
        """Scale and shift one half by what `net` makes of the other half."""
        seen = torch.cat([seen, *(c or [])], dim=1)
        s, t = net(seen.transpose(1, 2)).transpose(1, 2).to(moved.dtype).chunk(2, dim=1)
        log_scale = self.clamp * 0.636 * torch.atan(s / self.clamp)
        if rev:
            return (moved - t) * torch.exp(-log_scale), -log_scale.sum(1)
        return moved * torch.exp(log_scale) + t, log_scale.sum(1)


def _simplenet(shape, generator):
    return 0.15 * torch.randn(shape, generator=generator)


def _softflow(shape, generator):
    spread = torch.rand(shape[0], 1, 1, 1, generator=generator)
    return spread**2 * torch.randn(shape, generator=generator)


def _uniform(shape, generator):
    return torch.rand(shape, generator=generator)


NOISES = {"simplenet": _simplenet, "softflow": _softflow, "uniform": _uniform, "none": None}


class MultiFlow(nn.Module):
    """Normalizing flow over the feature maps of all views: blocks of permutation and coupling.

    In training, one noise map n of shape (1, H, W) a sample is added to all channels of all views,
    and the couplings are told 20 n; when scoring, n is 0.

    Arguments:
        channels, height, width: C, H, W of a feature map.
        graph: which view hears which; it also fixes V.
        blocks: K, the number of [ViewPermutation, CrossViewCoupling] pairs.
        hidden: channels of the hidden maps in the couplings' networks.
        kernel_sizes: one odd number a block; None means 3, ..., 3, 5.
        clamp: bound of a coupling's log-scale.
        noise: "simplenet" (0.15 N(0, 1)), "softflow" (c^2 N(0, 1), c ~ U(0, 1) a sample),
            "uniform" (U(0, 1)) or "none".
        message: see `CrossViewNet`.
        seed: of the permutations.

    Raises:
        ValueError: fewer than two channels, an unknown noise or message, or a number of kernel
            sizes that is not `blocks`.

    Source: arXiv 2504.03306 and the defaults of its released code.

    Example:
        >>> flow = MultiFlow(8, 4, 4, blocks=2, hidden=4).eval()
        >>> x = torch.randn(3, 5, 8, 4, 4)
        >>> z, log_det = flow(x)
        >>> z.shape, log_det.shape
        (torch.Size([3, 5, 8, 4, 4]), torch.Size([3, 5, 4, 4]))
        >>> torch.allclose(flow.inverse(z), x)
        True
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
    ):
        super().__init__()
        if kernel_sizes is None:
            kernel_sizes = [3] * (blocks - 1) + [5]
        if len(kernel_sizes) != blocks or blocks < 1:
            raise ValueError(
                f"'kernel_sizes' should hold one size for each of {blocks} blocks (at least one), "
                f"got {list(kernel_sizes)}"
            )
        if channels < 2:
            raise ValueError(f"'channels' should be at least 2, to be split, got {channels}")
        if noise not in NOISES:
            raise ValueError(f"'noise' should be one of {', '.join(NOISES)}, got {noise!r}")
        self.shape = (graph.views, channels, height, width)
        self.graph = graph
        self.noise = noise
        self.config = {  # plain values: what a file of weights needs to build the flow again
            "channels": channels,
            "height": height,
            "width": width,
            "graph": {
                "neighbours": [list(heard) for heard in graph.neighbours],
                "weight": graph.weight,
            },
            "blocks": blocks,
            "hidden": hidden,
            "kernel_sizes": list(kernel_sizes),
            "clamp": clamp,
            "noise": noise,
            "message": message,
            "seed": seed,
        }
        dims = (channels, graph.views, height, width)
        condition = {"cond": 0, "cond_shape": (1, *dims[1:])} if NOISES[noise] else {}
        self.inn = SequenceINN(*dims)
        for block, kernel_size in enumerate(kernel_sizes):
            self.inn.append(ViewPermutation, seed=1000 * seed + block)
            self.inn.append(
                CrossViewCoupling,
                **condition,
                graph=graph,
                hidden=hidden,
                kernel_size=kernel_size,
                clamp=clamp,
                message=message,
            )

    @classmethod
    def from_config(cls, config: dict) -> "MultiFlow":
        """Build the flow that another one's `config` describes, with fresh weights."""
        return cls(**{**config, "graph": ViewGraph(**config["graph"])})

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise maps n of the flow's kind: (samples, 1, H, W), on the CPU; zeros for "none"."""
        shape = (samples, 1, *self.shape[2:])
        draw = NOISES[self.noise]
        return draw(shape, generator) if draw else torch.zeros(shape)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features to latents.

        Arguments:
            x: (B, V, C, H, W).
            noise: n of shape (B, 1, H, W). None draws one in training mode and is 0 in evaluation
                mode.

        Returns:
            z (B, V, C, H, W), and the log-determinant (B, V, H, W) in nats.
        """
        noise = self._noise(x, noise)
        z, log_det = self._pass(x + noise.unsqueeze(1), noise)
        return z, log_det

    def inverse(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents to features, the noise taken off again: `inverse(flow(x, n)[0], n)` is x.

        Arguments:
            z: (B, V, C, H, W).
            noise: the n that `forward` was given; None is 0.

        Returns:
            x (B, V, C, H, W).
        """
        noise = self._zeros(z) if noise is None else noise
        x, _ = self._pass(z, noise, rev=True)
        return x - noise.unsqueeze(1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact joint log-density of all views of a sample, at n = 0.

        Arguments:
            x: (B, V, C, H, W).

        Returns:
            (B,) in nats, with the constant -1/2 log(2 pi) of every dimension.
        """
        z, log_det = self(x, self._zeros(x))
        constant = 0.5 * math.log(2 * math.pi) * z[0].numel()
        return log_det.flatten(1).sum(1) - 0.5 * z.square().flatten(1).sum(1) - constant

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw features from the flow, at n = 0.

        Arguments:
            n: number of samples.
            temperature: standard deviation of the latents.
            generator: on the CPU; None takes PyTorch's global one.

        Returns:
            (n, V, C, H, W).
        """
        like = next(self.parameters())
        z = torch.randn(n, *self.shape, generator=generator, dtype=like.dtype)
        return self.inverse(temperature * z.to(like.device))

    def trace(self, x: Tensor) -> list[Tensor]:
        """Latents after each of the K blocks, at n = 0; the last entry is z.

        Arguments:
            x: (B, V, C, H, W).

        Returns:
            K tensors (B, V, C, H, W).
        """
        steps = []
        hooks = [
            module.register_forward_hook(lambda _m, _x, out: steps.append(out[0][0]))
            for module in self.inn
            if isinstance(module, CrossViewCoupling)
        ]
        try:
            self(x, self._zeros(x))
        finally:
            for hook in hooks:
                hook.remove()
        return [step.transpose(1, 2) for step in steps]

    def _pass(self, x: Tensor, noise: Tensor, rev: bool = False) -> tuple[Tensor, Tensor]:
        """Run FrEIA's sequence in one direction on (B, V, C, H, W)."""
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"'x' should be (B, V, C, H, W) = (B, {', '.join(map(str, self.shape))}), "
                f"got {tuple(x.shape)}"
            )
        for module in self.inn:
            if not isinstance(module, MapModule):
                raise TypeError(
                    f"{type(module).__name__} does not derive from mfkit.flow.MapModule: its "
                    "log-determinant would be added to every position of a map; derive from "
                    "MapModule and return (B, V, H, W)"
                )
        told = NOISE_SCALE * noise.unsqueeze(2).expand(-1, -1, self.graph.views, -1, -1)
        y, log_det = self.inn(x.transpose(1, 2), c=[told], rev=rev)
        return y.transpose(1, 2), log_det

    def _noise(self, x: Tensor, noise: Tensor | None) -> Tensor:
        if noise is None:
            noise = self.draw_noise(len(x)) if self.training else self._zeros(x)
        expected = (len(x), 1, *x.shape[3:])
        if noise.shape != expected:
            raise ValueError(f"'noise' should be {expected}, got {tuple(noise.shape)}")
        return noise.to(x)

    def _zeros(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), 1, *x.shape[3:])

    def extra_repr(self) -> str:
        """Say what flows, and along which graph."""
        views, channels, height, width = self.shape
        return (
            f"V={views}, C={channels}, H={height}, W={width}, blocks={len(self.inn) // 2}, "
            f"noise={self.noise!r},\n{self.graph}"
        )
