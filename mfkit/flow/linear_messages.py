"""What views tell each other linearly: the first message, fitted in a second and exact."""

from collections.abc import Iterable

import torch
from torch import Tensor

from mfkit.flow.coupling import MapModule
from mfkit.flow.views import ViewGraph

__all__ = ["LinearMessages"]

DIRECTIONS = (3, 5, 10, 20)  # k: how many principal directions of a view take part
RIDGES = (0.03, 0.1, 0.2, 0.3)  # r: how much of what directions share is not believed
EVERY = 4  # every fourth sample is held out while k and r are chosen
LOOKED_AT = 64  # positions, drawn at random, that choose k and r; then all are fitted


class LinearMessages(MapModule):
    """At every position, what the views before have said is taken off a view, linearly.

    Few of the C directions at a position of a view differ much between samples, and it is these
    that know what views have in common: a colour, a kind, an order. Let y_v be the coordinates of
    view v in its k principal directions, each in units of its own spread, and let all V k of them
    be a Gaussian of mean 0 whose covariance is 1 within a view and `(1 - r)` of the measured one
    between two. Then what view v may expect, given the views u < v that it hears, is a Gaussian of
    mean m and covariance `R R^T`, R triangular, and the layer replaces

        y_v -> R^-1 (y_v - m)

    and leaves the other directions alone. It is triangular in the order of the views, so the
    inverse goes from view to view, and its log-determinant is that of R^-1. A view that hears
    nobody stays as it is. All k directions have mean 0 and covariance 1 with messages and without,
    so that whatever comes behind sees the same whether messages arrive or not. If views are absent
    or muted, the expectation is that from the others, computed anew: for a Gaussian this is exact.

    The pair (k, r) is the one of a small grid under which held-out training samples are most
    likely. Until `fit` this is the identity.

    Memory: V H W k (2 C + 2 V k) numbers, half of them on disk.

    Arguments:
        dims_in: [(C, V, H, W)].
        graph: which view hears which; of its edges only those from a view to a later one are used.

    Attributes:
        mean: (P, V, C), P = H W; of the features.
        spread: (V, C), of a channel over samples and positions.
        inward: (P, V, k, C), from features in units of `spread` to coordinates.
        outward: (P, V, C, k), and back; follows from `inward`.
        covariance: (P, V k, V k), of the coordinates.
        ridge: r of the last `fit`.

    Source: the conditional Gaussian; principal directions because a ridge regression between all
    channels of two views drowns in those that say nothing (notebooks/results/wires.md).
    """

    def __init__(self, dims_in, dims_c=None, *, graph: ViewGraph):
        super().__init__(dims_in, dims_c)
        self.channels, self.views, self.height, self.width = dims_in[0]
        self.graph = graph
        self.register_buffer("ridge", torch.tensor(torch.nan))
        self._reserve(0)

    def _reserve(self, directions: int) -> None:
        """Room for so many directions."""
        places, views, channels = self.height * self.width, self.views, self.channels
        sizes = {
            "mean": (places, views, channels),
            "spread": (views, channels),
            "inward": (places, views, directions, channels),
            "covariance": (places, views * directions, views * directions),
        }
        for name, size in sizes.items():
            self.register_buffer(name, self.ridge.new_zeros(size))

    def _prepare(self) -> None:
        """What follows from the fit: the way back, and what to expect if every message arrives."""
        square = self.inward @ self.inward.mT
        alone = torch.diag_embed((square.diagonal(dim1=-2, dim2=-1) == 0).to(square))
        outward = torch.linalg.solve(square + alone, self.inward).mT  # 0 where nothing ever changes
        heard = torch.ones(1, self.views, self.views, dtype=torch.bool, device=self.ridge.device)
        gain, unroot = self._solve(heard)
        for name, value in {"outward": outward, "gain": gain, "unroot": unroot}.items():
            self.register_buffer(name, value, persistent=False)

    def _load_from_state_dict(self, state, prefix, *others):
        self._reserve(state[prefix + "inward"].shape[2])
        state.pop(prefix + "outward", None)  # earlier files had it
        super()._load_from_state_dict(state, prefix, *others)
        self._prepare()

    @property
    def directions(self) -> int:
        """k."""
        return self.inward.shape[2]

    def fit(self, batches: Iterable[Tensor], chosen: tuple[int, float] | None = None) -> None:
        """Take directions and covariances from features.

        Arguments:
            batches: tensors (B, V, C, H, W), gone through once; NaN where a view is missing.
            chosen: (k, r); None chooses them.

        Raises:
            ValueError: a view is there in too few samples.
        """
        x = torch.cat(list(batches)).permute(3, 4, 1, 0, 2).flatten(0, 1)  # (P, V, N, C)
        for view, there in enumerate((~x[0, :, :, 0].isnan()).sum(1).tolist()):
            if there < EVERY:
                raise ValueError(
                    f"view {view} is in {there} training samples, linear messages need at least "
                    f"{EVERY}; add some, or do without 'linear'"
                )
        k, ridge = chosen or self._choose(x)
        fitted = _Directions(x, k)
        self._reserve(fitted.inward.shape[2])
        for name in ("mean", "spread", "inward"):
            getattr(self, name).copy_(getattr(fitted, name))
        self.covariance.copy_(_covariance(fitted.coordinates(x), ridge))
        self.ridge.fill_(ridge)
        self._prepare()

    def refit(self, batches: Iterable[Tensor]) -> None:
        """`fit` other samples with the k and r of the last ones."""
        self.fit(batches, (self.directions, self.ridge.item()))

    def _choose(self, x: Tensor) -> tuple[int, float]:
        """The (k, r) under which every fourth sample is most likely, seen from the others."""
        generator = torch.Generator().manual_seed(0)
        x = x[torch.randperm(len(x), generator=generator)[:LOOKED_AT]]
        held = torch.arange(x.shape[2]) % EVERY == EVERY - 1
        surprise, heard = {}, torch.ones(1, self.views, self.views, dtype=torch.bool)
        for k in DIRECTIONS:
            fitted = _Directions(x[:, :, ~held], k)
            known, new = (fitted.coordinates(x[:, :, part]) for part in (~held, held))
            ours = torch.where(new.isnan(), 0, new).transpose(1, 2)  # (P, N, V, k)
            for ridge in RIDGES:
                gain, unroot = self._solve(heard, _covariance(known, ridge))
                rest = _rest(ours, gain[0], unroot[0])
                gained = 0.5 * (rest.square() - ours.square()).sum()
                gained -= unroot.diagonal(dim1=-2, dim2=-1).log().sum() * ours.shape[1]
                surprise[k, ridge] = gained.item()
        return min(surprise, key=surprise.__getitem__)

    def forward(self, x_or_z, c=(), rev=False, jac=True):
        """See `CrossViewCoupling.forward`; always in the layer's precision."""
        (x,) = x_or_z
        if not self.directions:
            return (x,), x.new_zeros(x.shape[0], *x.shape[2:])
        gain, unroot = self._told(*(told for told in c if told.dtype == torch.bool))
        with torch.autocast(x.device.type, enabled=False):
            y = (x.flatten(3).permute(0, 3, 2, 1) - self.mean) / self.spread
            y = torch.einsum("pvkc,bpvc->bpvk", self.inward, y)
            # samples that hear the same share their matrices: (G, N, P, V, k) -> (G, P, N, V, k)
            y = y.unflatten(0, (len(gain), -1)).transpose(1, 2)
            new, log_det = _rest(y, gain, unroot), unroot.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            if rev:
                new, log_det = _restored(y, gain, unroot), -log_det
            moved = (new - y).transpose(1, 2).flatten(0, 1)
            moved = self.spread * torch.einsum("pvck,bpvk->bpvc", self.outward, moved)
        places = (self.height, self.width)
        moved = moved.permute(0, 3, 2, 1).unflatten(3, places)
        log_det = log_det[:, None].expand(-1, y.shape[2], -1, -1).flatten(0, 1)  # (B, P, V)
        return (x + moved,), log_det.transpose(1, 2).unflatten(2, places)

    def _told(self, heard: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Gain and R^-1, as of `_solve`, for each sample or, if they hear the same, for all."""
        if heard is None or heard.all():
            return self.gain, self.unroot
        return self._solve(heard.reshape(-1, self.views, self.views).to(self.covariance.device))

    def _solve(self, heard: Tensor, covariance: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What each view may expect from the earlier ones that it hears.

        Arguments:
            heard: (G, V, V) of bool, row receiver, column sender; see `ViewGraph.heard`.
            covariance: (P, V k, V k); None is the fitted one.

        Returns:
            gain (G, P, V, k, V k): the mean m_v is `gain_v y`; R^-1 (G, P, V, k, k).
        """
        covariance = self.covariance if covariance is None else covariance
        places, views, k = len(covariance), self.views, covariance.shape[1] // self.views
        blocks = covariance.unflatten(2, (views, k)).unflatten(1, (views, k))
        within = torch.eye(k).to(covariance)
        gain = covariance.new_zeros(len(heard), places, views, k, views, k)
        unroot = within.repeat(len(heard), places, views, 1, 1)
        for view in range(1, views if k else 0):
            senders = [u for u in range(view) if (u, view) in self.graph.possible_edges]
            if not senders:
                continue
            arrives = heard[:, view, senders].to(covariance).repeat_interleave(k, 1)[:, None]
            theirs = blocks[:, senders][:, :, :, senders].flatten(3).flatten(1, 2)
            theirs = theirs * arrives[..., None] * arrives[..., None, :]
            theirs = theirs + torch.diag_embed(1 - arrives)  # who is not heard says nothing
            mine = blocks[:, view][:, :, senders].flatten(2) * arrives[..., None, :]
            solved = torch.linalg.solve(theirs, mine.mT).mT  # (G, P, k, S k)
            gain[:, :, view][:, :, :, senders] = solved.unflatten(3, (-1, k))
            root = torch.linalg.cholesky(within - solved @ mine.mT)
            unroot[:, :, view] = torch.linalg.solve_triangular(root, within, upper=False)
        return gain.flatten(4), unroot


class _Directions:
    """The principal directions of each view at each position.

    Arguments:
        x: (P, V, N, C), NaN where a view is missing.
        k: how many; fewer if there are no more samples or channels.
    """

    def __init__(self, x: Tensor, k: int):
        count = (~x[0, :, :, 0].isnan()).sum(1)  # (V,)
        self.mean = x.nanmean(2)
        centred = torch.where(x.isnan(), 0, x - self.mean[:, :, None])
        self.spread = (centred.square().mean((0, 2)) * x.shape[2] / count[:, None]).sqrt()
        self.spread = torch.where(self.spread > 0, self.spread, 1)
        _, size, rows = torch.linalg.svd(centred / self.spread[:, None], full_matrices=False)
        k = min(k, int(count.min()) - 1, x.shape[3])
        size = size[..., :k] / (count[:, None] - 1).sqrt()
        size = torch.where(size > 1e-6, size, torch.inf)  # no spread, no coordinate
        self.inward = rows[..., :k, :] / size[..., None]

    def coordinates(self, x: Tensor) -> Tensor:
        """(P, V, N, C) -> (P, V, N, k), NaN where a view is missing."""
        return (x - self.mean[:, :, None]) / self.spread[:, None] @ self.inward.mT


def _covariance(y: Tensor, ridge: float) -> Tensor:
    """Of coordinates (P, V, N, k): 1 within a view, shrunk between views; (P, V k, V k).

    A missing view stands at its mean, so it makes what views share smaller and never larger.
    """
    views, _, k = y.shape[1:]
    count = (~y[0, :, :, 0].isnan()).sum(1).sub(1).sqrt()
    y = torch.where(y.isnan(), 0, y) / count[:, None, None]
    y = y.permute(0, 2, 1, 3).flatten(2)
    shared = (1 - ridge) * y.mT @ y
    within = torch.block_diag(*[torch.ones(k, k, device=y.device)] * views).bool()
    return torch.where(within, torch.eye(views * k, device=y.device), shared)


def _rest(y: Tensor, gain: Tensor, unroot: Tensor) -> Tensor:
    """What of y (..., P, N, V, k) the senders did not say, in units of its spread; see `_solve`."""
    rest = y - torch.einsum("...pvks,...pns->...pnvk", gain, y.flatten(-2))
    return torch.einsum("...pvkl,...pnvl->...pnvk", unroot, rest)


def _restored(rest: Tensor, gain: Tensor, unroot: Tensor) -> Tensor:
    """Back from `_rest`, view after view: each needs those before it."""
    y = torch.zeros_like(rest)
    for view in range(rest.shape[-2]):
        root = torch.linalg.inv(unroot[..., view, :, :])
        mean = torch.einsum("...pks,...pns->...pnk", gain[..., view, :, :], y.flatten(-2))
        one = torch.einsum("...pkl,...pnl->...pnk", root, rest[..., view, :]) + mean
        y = torch.cat([y[..., :view, :], one[..., None, :], y[..., view + 1 :, :]], -2)
    return y
