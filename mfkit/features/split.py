"""Samples with what is known about them: what belongs together travels together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mfkit.data import Sample
from mfkit.errors import InputError
from mfkit.features.feature_store import FeatureStore
from mfkit.features.foreground import ForegroundStore

__all__ = ["Split"]


@dataclass(frozen=True)
class Split:
    """N samples, their features, and which positions show the object.

    `split[indices]` are features (B, V, C, H, W), present views (B, V) of bool, and the positions
    that count (B, V, H, W) of bool, or None where all do.

    Attributes:
        samples: N samples with V images each.
        features: (N, V, C, H, W), in a store or as a tensor; `split` makes those of a missing view
            NaN.
        foreground: (N, V, H, W) of bool, in a store or as a tensor; None: all positions count.
        rows: which rows of features and foreground the samples are; None: all, in their order.

    Raises:
        ValueError: no samples, or not as many features or masks as samples.
    """

    samples: Sequence[Sample]
    features: FeatureStore | Tensor
    foreground: ForegroundStore | Tensor | None = None
    rows: Sequence[int] | None = None

    def __post_init__(self):
        parts = {"features": self.features, "foreground": self.foreground}
        for name, rows in parts.items():
            rows = rows if self.rows is None or rows is None else self.rows
            if rows is not None and (len(rows) != len(self) or not len(self)):
                raise ValueError(
                    f"'samples' should be as many as {name!r}, at least one, got {len(self)} and "
                    f"{len(rows)}"
                )

    def __len__(self) -> int:
        """N."""
        return len(self.samples)

    @cached_property
    def present(self) -> Tensor:
        """Which views there are, (N, V) of bool: the samples know."""
        return torch.tensor([sample.present for sample in self.samples])

    def __getitem__(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features, present views and positions that count.

        Raises:
            InputError: a feature of a view that is present is no finite number.
        """
        present, counts = self.shown(indices)
        x = self.features[self._places(indices)]
        ends = torch.stack(x.flatten(2).aminmax(dim=2))  # finite if all between are; no copy of x
        if not ends[:, present].isfinite().all():
            where = getattr(self.features, "path", "'features'")
            raise InputError(
                f"{where} is damaged: features of a view that is present are no finite numbers; "
                "delete the file, and the same command makes it anew"
            )
        if not present.all():
            x = x.masked_fill(~present[..., None, None, None], torch.nan)
        return x, present, counts

    def shown(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor | None]:
        """Present views and positions that count; no feature is read."""
        counts = None if self.foreground is None else self.foreground[self._places(indices)]
        return self.present[indices], counts

    def _places(self, indices: Sequence[int] | Tensor) -> Sequence[int] | Tensor:
        """Where features and masks of these samples stand."""
        return indices if self.rows is None else [self.rows[index] for index in indices]

    def part(self, indices: Sequence[int]) -> "Split":
        """Some of the samples; features and masks stay where they are."""
        rows = [index if self.rows is None else self.rows[index] for index in indices]
        samples = [self.samples[index] for index in indices]
        return Split(samples, self.features, self.foreground, rows)

    def hold_out(self, share: float) -> tuple["Split", "Split | None"]:
        """Most of the samples to train with, and every n-th that training shall not see.

        Arguments:
            share: of those that are held out; 0 holds none out.
        """
        if not share:
            return self, None
        every = round(1 / share)
        held = range(every - 1, len(self), every)
        kept = [index for index in range(len(self)) if index not in held]
        return self.part(kept), self.part(held)

    def identity(self) -> dict:
        """What must agree for a training on these samples to be continued."""
        digests = {"set of images": _digest(self.features), "foreground": _digest(self.foreground)}
        return digests if self.rows is None else {**digests, "samples": list(self.rows)}

    def formerly(self) -> dict:
        """What an earlier mfkit may have called parts of `identity`."""
        stores = {"set of images": self.features, "foreground": self.foreground}
        return {name: getattr(store, "formerly", None) for name, store in stores.items()}


def _digest(rows: FeatureStore | ForegroundStore | Tensor | None) -> str | None:
    if isinstance(rows, Tensor):
        return hashlib.sha256(rows.contiguous().numpy().tobytes()).hexdigest()
    return None if rows is None else rows.fingerprint
