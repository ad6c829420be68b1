"""Which camera hears which.

A view graph is the whole difference between most published variants of Multi-Flow: the same network
runs on a wheel, a ring, a star around the hub, a chain, or on no edges at all (the separated flow).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from matplotlib.axes import Axes
from torch import Tensor

from mfkit.flow.drawing import draw_graph

__all__ = ["GRAPHS", "ViewGraph"]


@dataclass(frozen=True)
class ViewGraph:
    """Directed graph over V views: `neighbours[i]` are the views whose messages view i receives.

    View i adds `w_i * sum_j message(j -> i)` to what it sees itself, where `w_i` is
    `1 / len(neighbours[i])` for the weight "mean" and 1 for the weight "sum".

    Arguments:
        neighbours: for each of the V views the views it hears, as indices 0 .. V - 1.
        weight: "mean" or "sum".
        shuffle: every network of a flow draws its own relabelling of the views, see `for_network`.

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
    def config(self) -> dict:
        """Plain values that `ViewGraph(**config)` takes."""
        neighbours = [list(heard) for heard in self.neighbours]
        return {"neighbours": neighbours, "weight": self.weight, "shuffle": self.shuffle}

    @property
    def possible_edges(self) -> tuple[tuple[int, int], ...]:
        """Edges that some network of a flow may have: all pairs of views if the graph shuffles."""
        return ViewGraph.complete(self.views).edges if self.shuffle else self.edges

    def heard(
        self,
        samples: int,
        present: Tensor | None = None,
        muted: Sequence[tuple[int, int]] = (),
    ) -> Tensor | None:
        """Which messages arrive, as `weights` takes it.

        Arguments:
            samples: B.
            present: (B, V) of bool, at least one view a sample; None: all are.
            muted: edges (sender, receiver) that carry no message.

        Returns:
            (V, V) or (B, V, V) of bool, row receiver, column sender; None: all messages arrive.

        Raises:
            ValueError: an edge that the graph does not have, or no fitting `present`.
        """
        if present is None and not muted:
            return None
        unknown = [edge for edge in muted if edge not in self.possible_edges]
        if unknown:
            raise ValueError(
                f"'muted' should hold edges (sender, receiver) of the graph, "
                f"{self.possible_edges}, got {unknown}"
            )
        heard = torch.ones(self.views, self.views, dtype=torch.bool)
        for sender, receiver in muted:
            heard[receiver, sender] = False
        if present is None:
            return heard
        fits = present.shape == (samples, self.views) and present.dtype == torch.bool
        if not fits or not present.any(1).all():
            raise ValueError(
                f"'present' should be ({samples}, {self.views}) of bool with at least one view a "
                f"sample, got {tuple(present.shape)} of {present.dtype}"
            )
        return heard.to(present.device) & present.unsqueeze(1)

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
            >>> ViewGraph.hub(3).weights()
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

    def for_network(self, seed: int) -> "ViewGraph":
        """The graph of one network: this one, with views relabelled at random if it shuffles."""
        if not self.shuffle:
            return self
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randperm(self.views, generator=generator, device="cpu").tolist()
        return replace(self.relabelled(labels), shuffle=False)

    def draw(
        self,
        ax: Axes | None = None,
        muted: Collection[tuple[int, int]] = (),
        names: Sequence[str] | None = None,
    ) -> Axes:
        """Draw the cameras around the object; see `mfkit.flow.drawing.draw_graph`."""
        return draw_graph(self, ax, muted, names)

    @classmethod
    def wheel(cls, views: int = 5) -> "ViewGraph":
        """Hub 0 joined to every side view; the sides form a ring (the paper's)."""
        return cls._union(cls.hub(views), cls.ring(views))

    @classmethod
    def ring(cls, views: int = 5, hub: bool = True) -> "ViewGraph":
        """Side views joined to the next and the last one; with `hub`, view 0 is there but alone."""
        first = int(hub)
        around = [_around(side, views - first) for side in range(views - first)]
        shifted = tuple(tuple(first + other for other in pair) for pair in around)
        return cls(((),) * min(first, views) + shifted)

    @classmethod
    def hub(cls, views: int = 5) -> "ViewGraph":
        """View 0 joined to every side view, the sides not to each other."""
        return cls((tuple(range(1, views)),) * min(1, views) + ((0,),) * (views - 1))

    @classmethod
    def shuffled(cls, views: int = 5) -> "ViewGraph":
        """A wheel whose views every network of a flow relabels at random: no geometry is left."""
        return replace(cls.wheel(views), shuffle=True)

    @classmethod
    def chain(cls, views: int = 5, weight: Literal["mean", "sum"] = "sum") -> "ViewGraph":
        """0 - 1 - ... - (views - 1); messages are added, as in the released ablation."""
        heard = [tuple(j for j in (i - 1, i + 1) if 0 <= j < views) for i in range(views)]
        return cls(tuple(heard), weight)

    @classmethod
    def cycle(cls, views: int = 5, weight: Literal["mean", "sum"] = "sum") -> "ViewGraph":
        """0 - 1 - ... - (views - 1) - 0; messages are added, as in the released ablation."""
        return cls(tuple(_around(view, views) for view in range(views)), weight)

    @classmethod
    def complete(cls, views: int = 5) -> "ViewGraph":
        """Every view hears every other one."""
        return cls(tuple(tuple(j for j in range(views) if j != i) for i in range(views)))

    @classmethod
    def empty(cls, views: int = 5) -> "ViewGraph":
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


def _around(view: int, views: int) -> tuple[int, ...]:
    """The last and the next view on a ring; one of them if they are the same, none if alone."""
    return tuple(sorted({(view - 1) % views, (view + 1) % views} - {view}))


GRAPHS = {
    "wheel": ViewGraph.wheel,
    "shuffled": ViewGraph.shuffled,
    "ring": ViewGraph.ring,
    "hub": ViewGraph.hub,
    "chain": ViewGraph.chain,
    "cycle": ViewGraph.cycle,
    "complete": ViewGraph.complete,
    "empty": ViewGraph.empty,
}
"""What `--graph` may be: each takes the number of views."""
