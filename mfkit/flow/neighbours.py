"""Nothing learned, everything remembered: the distance to the nearest training patch."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from mfkit.flow.views import ViewGraph
from mfkit.flow.whiten import by_view

__all__ = ["Neighbours", "coreset"]

TOGETHER = 2**24  # distances that are in memory at once
SKETCH = 64  # directions in which a coreset compares patches


class Neighbours(nn.Module):
    """A memory of sound patches for each view; a patch scores by how far the nearest one is.

    A patch is the C features of one position. It is compared with those of all positions of its
    view, so where on the object it lies does not matter. This is PatchCore with the features of one
    layer, as they are, and without reweighting: no density, so no likelihood and no way back.

    It is called like a `MultiFlow` and scored by the same chain: with x - nearest its offset from
    the nearest patch and d = |x - nearest|, z is the offset stretched to the length sqrt(2 C d) and
    the log-determinant 0, so that the score 1/2 |z|^2 / C is d, in the units of the features.

    Arguments:
        channels, height, width: C, H, W of a feature map.
        views: V.
        limit: patches that a view remembers at most; of more, `coreset` chooses those that cover
            the others best. 16384 are all positions of 64 samples at the workshop's size (7 MB a
            view; 20 MB at the paper's).
        remembered: patches of each view; given for a memory that is read from a file. Until `fit`
            it is a single one, 0.

    Source: PatchCore, arXiv 2106.08265.

    Example:
        >>> model = Neighbours(2, 1, 1, views=1)
        >>> model.fit([torch.tensor([[[[[0.0]], [[4.0]]]], [[[[9.0]], [[9.0]]]]])])
        >>> z, log_det = model(torch.tensor([[[[[3.0]], [[4.0]]]]]))
        >>> round((0.5 * z.square().sum(2) / 2).item(), 3)
        3.0
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        views: int,
        limit: int = 16384,
        remembered: Sequence[int] | None = None,
    ):
        super().__init__()
        if limit < 1:
            raise ValueError(f"'limit' should be at least 1, got {limit}")
        self.shape = (views, channels, height, width)
        self.graph = ViewGraph.empty(views)
        self.config = {
            "method": "neighbours",
            "channels": channels,
            "height": height,
            "width": width,
            "views": views,
            "limit": limit,
            "remembered": list(remembered or [1] * views),
        }
        for view, patches in enumerate(self.config["remembered"]):
            self.register_buffer(f"memory{view}", torch.zeros(patches, channels))

    @classmethod
    def from_config(cls, config: dict) -> "Neighbours":
        """Build the memory that another one's `config` describes, empty."""
        return cls(**{name: value for name, value in config.items() if name != "method"})

    @property
    def device(self) -> torch.device:
        """Where the memory lies."""
        return self.memory0.device

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Remember the patches of training samples.

        Arguments:
            batches: tensors (B, V, C, H, W), gone through once; NaN where a view is missing.

        Raises:
            ValueError: a view is there in no sample.
        """
        like = self.memory0
        for view, x in enumerate(by_view(batches)):
            if not len(x):
                raise ValueError(
                    f"view {view} is in no training sample, so nothing can be remembered of it; "
                    "add some"
                )
            patches = x.permute(0, 2, 3, 1).flatten(0, 2).to(like)
            if len(patches) > self.config["limit"]:
                patches = patches[coreset(patches, self.config["limit"])]
            setattr(self, f"memory{view}", patches.contiguous())
            self.config["remembered"][view] = len(patches)

    def forward(
        self,
        x: Tensor,
        noise: Tensor | None = None,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> tuple[Tensor, Tensor]:
        """Features to stretched offsets, see above.

        Arguments:
            x: (B, V, C, H, W); what it holds for an absent view does not matter.
            noise: not used.
            present: (B, V) of bool, at least one view a sample; None: all are.
            muted: nothing, as there are no messages.

        Returns:
            z (B, V, C, H, W) and 0 (B, V, H, W); z is 0 in absent views.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"'x' should be (B, V, C, H, W) = (B, {', '.join(map(str, self.shape))}), "
                f"got {tuple(x.shape)}"
            )
        self.graph.heard(len(x), present, muted)  # checks them
        z = torch.stack([self._offsets(x[:, view], view) for view in range(x.shape[1])], 1)
        if present is not None:
            z = z.masked_fill(~present.to(x.device)[..., None, None, None], 0)
        return z, x.new_zeros(x.shape[0], x.shape[1], *x.shape[3:])

    def _offsets(self, x: Tensor, view: int) -> Tensor:
        """Stretched offsets of one view: (B, C, H, W) -> (B, C, H, W)."""
        memory = self.get_buffer(f"memory{view}")
        patches = x.permute(0, 2, 3, 1).flatten(0, 2)
        offsets = torch.cat(
            [
                part - memory[torch.cdist(part, memory).argmin(1)]
                for part in patches.split(max(1, TOGETHER // len(memory)))
            ]
        )
        distance = offsets.norm(dim=1, keepdim=True)
        tiny = torch.finfo(distance.dtype).tiny
        z = offsets / distance.clamp(min=tiny) * (2 * x.shape[1] * distance).sqrt()
        return z.unflatten(0, (len(x), *x.shape[2:])).permute(0, 3, 1, 2)

    def scales(
        self,
        x: Tensor,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> list[tuple[Tensor, Tensor]]:
        """See `MultiFlow.scales`."""
        return [self(x, present=present, muted=muted)]

    def fold(self, scales: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """See `MultiFlow.fold`."""
        return scales[0]

    def trace(
        self,
        x: Tensor,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> list[Tensor]:
        """z alone: there are no blocks. See `forward`."""
        return [self(x, present=present, muted=muted)[0]]

    def extra_repr(self) -> str:
        """Say how much is remembered."""
        views, channels, height, width = self.shape
        remembered = ", ".join(map(str, self.config["remembered"]))
        return f"V={views}, C={channels}, H={height}, W={width}, patches {remembered}"


def coreset(patches: Tensor, size: int) -> Tensor:
    """Patches that cover all others: each next one is the farthest from those chosen so far.

    No choice of as many patches leaves less than half the largest distance to the nearest chosen
    one. Distances are compared in 64 random directions where there are more channels.

    Arguments:
        patches: (M, C).
        size: how many to choose; M is enough for all.

    Returns:
        their indices, (min(size, M),), in the order of choice.

    Source: greedy k-center (Gonzalez 1985), as in PatchCore.

    Example:
        >>> coreset(torch.tensor([[0.0], [0.1], [5.0], [5.2]]), 2)
        tensor([0, 3])
    """
    channels = patches.shape[1]
    if channels > SKETCH:
        generator = torch.Generator().manual_seed(0)
        directions = torch.randn(channels, SKETCH, generator=generator)
        patches = patches @ directions.to(patches) / SKETCH**0.5
    size = min(size, len(patches))
    squares = patches.square().sum(1)
    nearest = torch.full_like(squares, torch.inf)
    chosen = torch.zeros(size, dtype=torch.long, device=patches.device)
    for step in range(1, size):
        last = chosen[step - 1]
        nearest = torch.minimum(nearest, squares + squares[last] - 2 * patches @ patches[last])
        nearest[last] = -torch.inf
        chosen[step] = nearest.argmax()
    return chosen
