"""Where an explorer has been: back and forward through its states."""

__all__ = ["History"]

MOST = 200  # states; more are forgotten, so that memory stays


class History:
    """States in the order in which they were seen, and a place among them.

    Arguments:
        first: the state at the beginning.

    Example:
        >>> seen = History({"sample": 0})
        >>> seen.add({"sample": 1})
        >>> seen.undo(), seen.undo(), seen.redo()
        ({'sample': 0}, None, {'sample': 1})
    """

    def __init__(self, first: dict):
        self.states, self.place = [first], 0

    def add(self, state: dict) -> None:
        """Go to a state; what had been undone is forgotten. The same state again adds nothing."""
        if state != self.states[self.place]:
            self.states = [*self.states[: self.place + 1], state][-MOST:]
            self.place = len(self.states) - 1

    def undo(self) -> dict | None:
        """The state before; None at the beginning."""
        return self._go(-1)

    def redo(self) -> dict | None:
        """The state that was undone; None if there is none."""
        return self._go(1)

    @property
    def ends(self) -> tuple[bool, bool]:
        """Is there nothing to undo, nothing to redo?"""
        return self.place == 0, self.place == len(self.states) - 1

    def _go(self, step: int) -> dict | None:
        if not 0 <= self.place + step < len(self.states):
            return None
        self.place += step
        return self.states[self.place]
