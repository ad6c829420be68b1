"""One position, one ellipse: a Gaussian for each view and position, as an exact layer of a flow."""

from collections.abc import Iterable, Sequence
from itertools import product

import torch
from torch import Tensor

from mfkit.flow.coupling import MapModule

__all__ = ["Whiten", "by_view"]

SHARES = (0.1, 0.3, 0.6, 1.0)  # a: how much of the covariance is that of the whole view
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3)  # r: added variance, in units of a channel's own
EVERY = 4  # every fourth sample is held out while a and r are chosen
LOOKED_AT = 64  # positions of a view, drawn at random, that choose a and r; then all are fitted
TOGETHER = 2**24  # numbers of the covariances that are in memory at once


class Whiten(MapModule):
    """At every position of every view `x -> L^-1 (x - mean)`: mean 0, covariance 1.

    `L L^T` is the covariance of the C channels there over the training samples, L triangular. A few
    samples do not determine C (C + 1) / 2 numbers, so it is shrunk, in units of the channels' own
    spreads over the view, towards what all positions of the view have in common and a little noise:

        (1 - a) own + a (mean over the view's positions) + r 1

    The pair (a, r), one for all views, is the one of a small grid under which held-out training
    samples are most likely: no label and no test sample takes part. Then all samples are fitted.

    The map is affine and its log-determinant a constant for each position, so a flow of this layer
    alone is a Gaussian: PaDiM, without its random choice of channels. Couplings behind it begin
    where that ends. Until `fit` this is the identity.

    Memory: V H W C^2 numbers, which do not change in training; 64 MB at the workshop's size, 1.06
    GB (in float32, on disk and in memory) at the paper's. `fit` keeps the features of all samples
    beside it, 0.84 GB for 240 samples at the paper's size: second moments would be larger as long
    as there are fewer samples than channels. Everything else is done some positions at a time.

    Arguments:
        dims_in: [(C, V, H, W)].

    Attributes:
        shrinkage: (a, r) of the last `fit`, NaN before.

    Source: PaDiM, arXiv 2011.08785; shrinkage after Ledoit and Wolf (2004), here with two targets.
    """

    def __init__(self, dims_in, dims_c=None):
        super().__init__(dims_in, dims_c)
        channels, *places = dims_in[0]
        unmix = torch.eye(channels).expand(*places, channels, channels).contiguous()
        self.register_buffer("mean", torch.zeros(*places, channels))
        self.register_buffer("unmix", unmix)  # L^-1
        self.register_buffer("shrinkage", torch.full((2,), torch.nan))

    def fit(
        self, batches: Iterable[Tensor], shrinkage: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """Take means and covariances from features.

        Arguments:
            batches: tensors (B, V, C, H, W), gone through once; NaN where a view is missing.
            shrinkage: (a, r); None chooses them.

        Returns:
            (a, r).

        Raises:
            ValueError: a view is there in too few samples, or a channel of a view never changes.
        """
        views = by_view(batches)
        for view, x in enumerate(views):
            if len(x) < EVERY:
                raise ValueError(
                    f"view {view} is in {len(x)} training samples, whitening needs at least "
                    f"{EVERY}; add some, or do without 'whiten'"
                )
            flat = (x.flatten(2).amax((0, 2)) == x.flatten(2).amin((0, 2))).nonzero()
            if len(flat):
                raise ValueError(
                    f"channel {flat[0].item()} of view {view} is the same everywhere in the "
                    "training features, so it has no scale; check the backbone, or do without "
                    "'whiten'"
                )
        chosen = shrinkage or _choose(views)
        for view, x in enumerate(views):
            gaussian = _Gaussian(x)
            for places in _chunks(torch.arange(len(gaussian.y)), x.shape[1]):
                factor = gaussian.factor(places, *chosen)
                scale = torch.diag_embed(1 / gaussian.spread)
                unmix = torch.linalg.solve_triangular(factor, scale, upper=False)
                self.mean[view].flatten(0, 1)[places] = gaussian.mean[places].to(self.mean)
                self.unmix[view].flatten(0, 1)[places] = unmix.to(self.unmix)
        self.shrinkage.copy_(torch.tensor(chosen))
        return chosen

    def refit(self, batches: Iterable[Tensor]) -> None:
        """`fit` other samples with the shrinkage of the last ones."""
        self.fit(batches, tuple(self.shrinkage.tolist()))

    def forward(self, x_or_z, c=(), rev=False, jac=True):
        """See `mfkit.flow.coupling.CrossViewCoupling.forward`; always in the layer's precision."""
        (x,) = x_or_z
        x = x.permute(2, 3, 4, 1, 0)  # (V, H, W, C, B)
        log_det = self.unmix.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        with torch.autocast(x.device.type, enabled=False):
            if rev:
                x = torch.linalg.solve_triangular(self.unmix, x, upper=False)
                y, log_det = x + self.mean[..., None], -log_det
            else:
                y = self.unmix @ (x - self.mean[..., None])
        return (y.permute(4, 3, 0, 1, 2),), log_det.expand(y.shape[-1], *log_det.shape)


class _Gaussian:
    """What some samples of one view say about all of its positions.

    Arguments:
        x: (N, C, H, W).

    Attributes:
        mean: (P, C), P = H W.
        spread: (C,) standard deviations over samples and positions, float64.
        y: (P, N, C), samples minus mean, over spread.
        shared: (C, C), the mean of the positions' covariances, float64.
    """

    def __init__(self, x: Tensor):
        x = x.flatten(2).permute(2, 0, 1)
        self.mean = x.mean(1)
        offset = self.mean.double() - self.mean.double().mean(0)
        self.y = x - self.mean[:, None]
        variance = sum(part.double().square().sum((0, 1)) for part in self.y.split(64))
        self.spread = (variance / x[..., 0].numel() + offset.square().mean(0)).sqrt()
        self.y /= self.spread.to(x)
        scatter = sum(
            part.T @ part for part in (y.double().flatten(0, 1) for y in self.y.split(64))
        )
        self.shared = scatter / (x.shape[0] * (x.shape[1] - 1))

    def factor(self, places: Tensor, share: float, ridge: float) -> Tensor:
        """L of some positions, in units of the spreads: (p, C, C), float64."""
        y = self.y[places].double()
        own = y.transpose(1, 2) @ y / (y.shape[1] - 1)
        covariance = own.mul_(1 - share).add_(share * self.shared)
        covariance.diagonal(dim1=-2, dim2=-1).add_(ridge)
        return torch.linalg.cholesky(covariance)

    def surprise(self, x: Tensor, places: Tensor, share: float, ridge: float) -> Tensor:
        """Negative log-density of other samples x (N, C, H, W), summed, without its constants."""
        x = x.flatten(2).permute(2, 0, 1)[places]
        y = (x - self.mean[places][:, None]).double() / self.spread
        factor = self.factor(places, share, ridge)
        z = torch.linalg.solve_triangular(factor, y.transpose(1, 2), upper=False)
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum()
        return 0.5 * z.square().sum() + x.shape[1] * log_det


def _choose(views: list[Tensor]) -> tuple[float, float]:
    """The (a, r) under which every fourth sample is most likely, seen from the others."""
    surprise = dict.fromkeys(product(SHARES, RIDGES), 0.0)
    for x in views:
        held = torch.arange(len(x)) % EVERY == EVERY - 1
        gaussian = _Gaussian(x[~held])
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(gaussian.y), generator=generator)
        for places in _chunks(order[:LOOKED_AT], x.shape[1]):
            for pair in surprise:
                surprise[pair] += gaussian.surprise(x[held], places, *pair).item()
    return min(surprise, key=surprise.__getitem__)


def by_view(batches: Iterable[Tensor]) -> list[Tensor]:
    """The samples of each view that have it: V tensors (N, C, H, W)."""
    parts = [
        [x[:, view][~x[:, view, 0, 0, 0].isnan()] for view in range(x.shape[1])] for x in batches
    ]
    return [torch.cat(view) for view in zip(*parts, strict=True)]


def _chunks(places: Tensor, channels: int) -> Sequence[Tensor]:
    """As many positions at a time as their covariances allow."""
    return places.split(max(1, TOGETHER // channels**2))
