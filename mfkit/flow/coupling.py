"""One block of the flow: permute the channels of each view, then couple all views.

Outside, tensors are (B, V, C, H, W). In here, FrEIA sees (B, C, V, H, W), so that axis 1 is what
FrEIA thinks it is: the channels.
"""

import torch
from FrEIA.modules import InvertibleModule
from torch import Tensor

from mfkit.flow.messages import CrossViewNet
from mfkit.flow.views import ViewGraph

__all__ = ["CrossViewCoupling", "MapModule", "ViewPermutation", "soft_clamp"]


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

    def forward(self, x_or_z, c=(), rev=False, jac=True):
        """See `CrossViewCoupling.forward`; the log-determinant is 0."""
        (x,) = x_or_z
        order = self.permutation.argsort(1) if rev else self.permutation
        views = torch.arange(len(order), device=x.device)
        return (x[:, order.T, views],), x.new_zeros(x.shape[0], *x.shape[2:])


def soft_clamp(s: Tensor, clamp: float = 1.9) -> Tensor:
    """Bend s smoothly into -clamp .. clamp: `clamp * 0.636 * atan(s / clamp)`.

    Source: arXiv 2504.03306; 0.636 is about 2 / pi. FrEIA's blocks clamp with `atan(s)`, without
    the division.
    """
    return clamp * 0.636 * torch.atan(s / clamp)


class CrossViewCoupling(MapModule):
    """Two-sided affine coupling over all views at once.

    The channels are split into x1 (the first C // 2) and x2 (the rest). With `ls = soft_clamp`:

        s, t = net2(x2);  z1 = exp(ls(s)) * x1 + t
        s, t = net1(z1);  z2 = exp(ls(s)) * x2 + t

    Each half is moved by numbers that depend only on the other half, of all views. So the Jacobian
    is triangular however the views talk to each other, and its log-determinant is the sum of the
    log-scales. Summed over the channels alone it stays a map: what each view and position adds.

    Arguments:
        dims_in: [(C, V, H, W)].
        dims_c: [(N, V, H, W)] of a condition that both networks see, or nothing.
        graph, hidden, kernel_size, message: see `CrossViewNet`.
        seed: of the graphs of the two networks, if the graph shuffles.
        clamp: the log-scale of one half stays below this number.

    Raises:
        ValueError: a clamp that is not positive; see also `CrossViewNet`.

    Source: arXiv 2504.03306.
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
        seed: int = 0,
    ):
        super().__init__(dims_in, dims_c)
        if not clamp > 0:
            raise ValueError(f"'clamp' should be positive, got {clamp}")
        channels = dims_in[0][0]
        condition = sum(dims[0] for dims in self.dims_c)
        self.clamp = clamp
        self.split = [channels // 2, channels - channels // 2]
        first, second = self.split
        graph1, graph2 = graph.for_network(2 * seed), graph.for_network(2 * seed + 1)
        options = {"hidden": hidden, "kernel_size": kernel_size, "message": message}
        self.net1 = CrossViewNet(first + condition, 2 * second, graph1, **options)
        self.net2 = CrossViewNet(second + condition, 2 * first, graph2, **options)

    def forward(self, x_or_z, c=(), rev=False, jac=True):
        """Map x to z, or back.

        Arguments:
            x_or_z: tuple of one tensor (B, C, V, H, W).
            c: the condition (B, N, V, H, W), if there is one; then, if not every message arrives,
                which ones do (B, V, V), see `ViewGraph.weights`.
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
        conditions, heard = c[: len(self.dims_c)], c[len(self.dims_c) :]
        seen = torch.cat([seen, *conditions], dim=1).transpose(1, 2)
        s, t = net(seen, *heard).transpose(1, 2).to(moved.dtype).chunk(2, dim=1)
        log_scale = soft_clamp(s, self.clamp)
        if rev:
            return (moved - t) * torch.exp(-log_scale), -log_scale.sum(1)
        return moved * torch.exp(log_scale) + t, log_scale.sum(1)
