"""Features on one scale: an affine map in front of the flow, counted in its likelihood."""

from collections.abc import Iterable

import torch
from torch import Tensor

from mfkit.flow.coupling import MapModule

__all__ = ["Standardize"]


class Standardize(MapModule):
    """Every channel of every view at mean 0 and spread 1 over the training features.

    Features of a backbone differ in spread from channel to channel, by a factor of ten and more,
    and a flow that starts as the identity spends its first epochs on that alone. Mean and spread
    are constants; the log-determinant of a position is minus the sum of the logarithms of the
    spreads, so likelihoods stay those of the features themselves. Until `fit` this is the identity.

    Arguments:
        dims_in: [(C, V, H, W)].

    Source: data-dependent initialisation of ActNorm (Glow, arXiv 1807.03039), here per view.
    """

    def __init__(self, dims_in, dims_c=None):
        super().__init__(dims_in, dims_c)
        channels, views = dims_in[0][:2]
        self.register_buffer("mean", torch.zeros(channels, views, 1, 1))
        self.register_buffer("spread", torch.ones(channels, views, 1, 1))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take mean and spread (standard deviation) from features.

        Arguments:
            batches: tensors (B, V, C, H, W); NaN where a view is missing.

        Raises:
            ValueError: a view is there in no sample, or a channel of a view never changes.
        """
        count, total, squares = 0, 0.0, 0.0
        for x in batches:
            x = x.double().transpose(1, 2)
            there = ~x.isnan()
            count = count + there.sum((0, 3, 4))
            total = total + x.nansum((0, 3, 4))
            squares = squares + x.square().nansum((0, 3, 4))
        if not count.all():
            view = (count == 0).nonzero()[0][1].item()
            raise ValueError(f"view {view} is in no training sample, so it has no scale; add some")
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        if not (spread > 0).all():
            channel, view = (~(spread > 0)).nonzero()[0].tolist()
            raise ValueError(
                f"channel {channel} of view {view} is the same everywhere in the training "
                "features, so it has no scale; check the backbone, or train without 'standardize'"
            )
        self.mean.copy_(mean[..., None, None])
        self.spread.copy_(spread[..., None, None])

    refit = fit

    def forward(self, x_or_z, c=(), rev=False, jac=True):
        """See `mfkit.flow.coupling.CrossViewCoupling.forward`."""
        (x,) = x_or_z
        log_det = -self.spread.log().sum(0).expand(x.shape[0], *x.shape[2:])
        if rev:
            return (x * self.spread + self.mean,), -log_det
        return ((x - self.mean) / self.spread,), log_det
