"""Which camera hears which.

A view graph is the whole difference between most published variants of Multi-Flow: the same network
runs on a wheel, a ring, a star around the hub, a chain, or on no edges at all (the separated flow).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

__all__ = ["GRAPHS", "ViewGraph"]


@dataclass(frozen=True)
class ViewGraph:
    """Directed graph over V views: `neighbours[i]` are the views whose messages view i receives.

    View i adds `w_i * sum_j message(j -> i)` to what it sees itself, where `w_i` is
    `1 / len(neighbours[i])` for the weight "mean" and 1 for the weight "sum".

    Arguments:
        neighbours: for each of the V views the views it hears, as indices 0 .. V - 1.
        weight: "mean" or "sum".
        shuffle: every network of a flow draws its own relabelling of the views, see `drawn`.

    Raises:
        ValueError: no views, an index outside 0 .. V - 1, a view that hears itself or hears another
            one twice, or an unknown weight.

    Source: the wheel is the graph of Multi-Flow (arXiv 2504.03306); ring, hub, chain and cycle with
    sums, and the shuffled wheel are ablations of its released code.

    Example:
        >>> ViewGraph.wheel()
        ViewGraph(0: 1 2 3 4 | 1: 0 2 4 | 2: 0 1 3 | 3: 0 2 4 | 4: 0 1 3, weight=mean)
        >>> ViewGraph.empty(2).edges
        ()
    """

    neighbours: tuple[tuple[int, ...], ...]
    weight: Literal["mean", "sum"] = "mean"
    shuffle: bool = False

    def __post_init__(self):
        object.__setattr__(self, "neighbours", tuple(tuple(heard) for heard in self.neighbours))
        if not self.neighbours:
            raise ValueError("'neighbours' should name at least one view, got none")
        if self.weight not in ("mean", "sum"):
            raise ValueError(f"'weight' should be 'mean' or 'sum', got {self.weight!r}")
        for view, heard in enumerate(self.neighbours):
            others = set(range(self.views)) - {view}
            if len(set(heard)) != len(heard) or not set(heard) <= others:
                raise ValueError(
                    f"'neighbours[{view}]' should hold different views out of {sorted(others)}, "
                    f"got {list(heard)}"
                )

    @property
    def views(self) -> int:
        """Number of views V."""
        return len(self.neighbours)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """All directed edges as (sender, receiver), ordered by receiver."""
        return tuple((j, i) for i, heard in enumerate(self.neighbours) for j in heard)

    @property
    def possible_edges(self) -> tuple[tuple[int, int], ...]:
        """Edges that some network of a flow may have: all pairs of views if the graph shuffles."""
        return ViewGraph.complete(self.views).edges if self.shuffle else self.edges

    def weights(self, heard: Tensor | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
        """Weights of all messages: row i, column j is w_i if view i hears view j, else 0.

        Arguments:
            heard: (B, V, V) or (V, V) of bool: False where view i does not hear view j although
                the graph says so, because j is absent or its message is muted. A mean runs over
                those that are left.
            dtype: of the result; not every device has float64.

        Returns:
            (V, V), or (B, V, V), on the device of `heard`.

        Example:
            >>> ViewGraph.hub(2).weights()
            tensor([[0.0000, 0.5000, 0.5000],
                    [1.0000, 0.0000, 0.0000],
                    [1.0000, 0.0000, 0.0000]], dtype=torch.float64)
        """
        views = range(self.views)
        arrives = torch.tensor([[j in js for j in views] for js in self.neighbours])
        if heard is not None:
            arrives = arrives.to(heard.device) & heard
        weights = arrives.to(dtype)
        if self.weight == "sum":
            return weights
        return weights / weights.sum(-1, keepdim=True).clamp(min=1)

    def relabelled(self, labels: Sequence[int]) -> "ViewGraph":
        """The same graph over other names: view i becomes view `labels[i]`.

        Raises:
            ValueError: `labels` does not name each of the V views once.
        """
        if sorted(labels) != list(range(self.views)):
            raise ValueError(
                f"'labels' should name each of 0 .. {self.views - 1} once, got {list(labels)}"
            )
        neighbours = [()] * self.views
        for view, heard in enumerate(self.neighbours):
            neighbours[labels[view]] = tuple(sorted(labels[j] for j in heard))
        return replace(self, neighbours=tuple(neighbours))

    def drawn(self, seed: int) -> "ViewGraph":
        """The graph of one network: this one, with views relabelled at random if it shuffles."""
        if not self.shuffle:
            return self
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randperm(self.views, generator=generator, device="cpu").tolist()
        return replace(self.relabelled(labels), shuffle=False)

    def draw(self, ax=None):
        """Draw the cameras around the object; see `mfkit.plot.view_graph`."""
        from mfkit import plot  # a leaf module: imported here so that a flow needs no matplotlib

        return plot.view_graph(self, ax)

    @classmethod
    def wheel(cls, sides: int = 4) -> "ViewGraph":
        """Hub 0 joined to every side view; the sides 1 .. `sides` form a ring (the paper's)."""
        return cls._union(cls.hub(sides), cls.ring(sides))

    @classmethod
    def ring(cls, sides: int = 4, hub: bool = True) -> "ViewGraph":
        """Side views joined to the next and the last one; with `hub`, view 0 is there but alone."""
        _check_sides(sides)
        first = int(hub)
        around = [_around(side, sides) for side in range(sides)]
        shifted = tuple(tuple(first + other for other in pair) for pair in around)
        return cls(((),) * first + shifted)

    @classmethod
    def hub(cls, sides: int = 4) -> "ViewGraph":
        """View 0 joined to every side view, the sides not to each other."""
        _check_sides(sides)
        return cls((tuple(range(1, sides + 1)),) + ((0,),) * sides)

    @classmethod
    def shuffled(cls, sides: int = 4) -> "ViewGraph":
        """A wheel whose views every network of a flow relabels at random: no geometry is left."""
        return replace(cls.wheel(sides), shuffle=True)

    @classmethod
    def chain(cls, views: int, weight: Literal["mean", "sum"] = "sum") -> "ViewGraph":
        """0 - 1 - ... - (views - 1); messages are added, as in the released ablation."""
        heard = [tuple(j for j in (i - 1, i + 1) if 0 <= j < views) for i in range(views)]
        return cls(tuple(heard), weight)

    @classmethod
    def cycle(cls, views: int, weight: Literal["mean", "sum"] = "sum") -> "ViewGraph":
        """0 - 1 - ... - (views - 1) - 0; messages are added, as in the released ablation."""
        return cls(tuple(_around(view, views) for view in range(views)), weight)

    @classmethod
    def complete(cls, views: int) -> "ViewGraph":
        """Every view hears every other one."""
        return cls(tuple(tuple(j for j in range(views) if j != i) for i in range(views)))

    @classmethod
    def empty(cls, views: int) -> "ViewGraph":
        """Nobody hears anybody: the separated flow, one independent flow a view."""
        return cls(((),) * views)

    @classmethod
    def _union(cls, first: "ViewGraph", second: "ViewGraph") -> "ViewGraph":
        pairs = zip(first.neighbours, second.neighbours, strict=True)
        return cls(tuple(tuple(sorted({*a, *b})) for a, b in pairs))

    def __repr__(self) -> str:
        heard = (f"{i}: {' '.join(map(str, js)) or '-'}" for i, js in enumerate(self.neighbours))
        shuffle = ", shuffle" if self.shuffle else ""
        return f"ViewGraph({' | '.join(heard)}, weight={self.weight}{shuffle})"


def _check_sides(sides: int) -> None:
    if sides < 0:
        raise ValueError(f"'sides' should not be negative, got {sides}")


def _around(view: int, views: int) -> tuple[int, ...]:
    """The last and the next view on a ring; one of them if they are the same, none if alone."""
    return tuple(sorted({(view - 1) % views, (view + 1) % views} - {view}))


GRAPHS = {
    "wheel": lambda views: ViewGraph.wheel(views - 1),
    "shuffled": lambda views: ViewGraph.shuffled(views - 1),
    "ring": lambda views: ViewGraph.ring(views - 1),
    "hub": lambda views: ViewGraph.hub(views - 1),
    "chain": ViewGraph.chain,
    "cycle": ViewGraph.cycle,
    "complete": ViewGraph.complete,
    "empty": ViewGraph.empty,
}
