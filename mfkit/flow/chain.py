"""Modules one behind the other, each with a log-determinant that is a map."""

from collections.abc import Iterable, Iterator, Sequence

from FrEIA.framework import SequenceINN
from torch import Tensor

from mfkit.flow.coupling import MapModule

__all__ = ["MapChain"]


class MapChain(SequenceINN):
    """FrEIA's sequence, whose own loop hands every module one condition and keeps the steps."""

    def steps(
        self,
        y: Tensor,
        conditions: Sequence[Tensor],
        modules: Iterable[MapModule],
        idle: tuple[type, ...] = (),
        rev: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """What y is, and the log-determinant so far, behind each of the modules.

        Arguments:
            y: (B, C, V, H, W).
            conditions: what every module is told.
            modules: of this chain, in the order in which y goes through them.
            idle: kinds of modules that would be the identity now, and are left out.
            rev: go through them backwards.

        Raises:
            TypeError: a module of this chain whose log-determinant is no map.
        """
        for module in self:
            if not isinstance(module, MapModule):
                raise TypeError(
                    f"{type(module).__name__} does not derive from mfkit.flow.MapModule: its "
                    "log-determinant would be added to every position of a map; derive from "
                    "MapModule and return (B, V, H, W)"
                )
        log_det = y.new_zeros(y.shape[0], *y.shape[2:])
        for module in modules:
            if not isinstance(module, idle):
                (y,), step = module((y,), c=conditions, rev=rev)
                log_det = log_det + step
            yield y, log_det
