"""Controls that ipywidgets does not have: several switches with one value, and a position.

Both are made of standard widgets, so they need no front end of their own and work by keyboard.
"""

from collections.abc import Hashable, Iterable, Mapping

import ipywidgets as widgets
import traitlets

__all__ = ["Place", "Several"]


class _Joined(widgets.Box):
    """A box whose parts have one value together: when one side changes, the other follows."""

    value = traitlets.Tuple()

    def __init__(self, parts: Iterable[widgets.Widget], **box):
        self._writing = False
        super().__init__(**box)
        for part in parts:
            part.observe(self._collect, "value")

    def _collect(self, _change):
        if not self._writing:
            self.value = self._read()

    @traitlets.observe("value")
    def _spread(self, change):
        self._writing = True
        try:
            self._write(change.new)
        finally:
            self._writing = False


class Several(_Joined):
    """Switches and lists that have one value together: what is not as at the beginning.

    The value is a tuple of the keys of switches that are on, and of (key, choice) of lists, in the
    order of the parts.

    Arguments:
        parts: for each key a `ToggleButton` that is off, or a `Dropdown`.
        layout: keywords of the box's layout.

    Raises:
        ValueError: the value is set to something that the parts do not have.
    """

    def __init__(self, parts: Mapping[Hashable, widgets.Widget], **layout):
        self.parts = dict(parts)
        self.rest = {key: part.value for key, part in self.parts.items()}
        children = tuple(self.parts.values())
        super().__init__(children, children=children, layout=widgets.Layout(**layout))

    def only(self, key: Hashable) -> None:
        """Show one of the parts; the others keep their values."""
        for other, part in self.parts.items():
            part.layout.display = None if other == key else "none"

    def _read(self) -> tuple:
        return self._moved({key: part.value for key, part in self.parts.items()})

    def _write(self, value: tuple) -> None:
        for key, choice in (self.rest | self._choices(value)).items():
            self.parts[key].value = choice

    @traitlets.validate("value")
    def _known(self, proposal):
        choices = self._choices(proposal.value)
        if any(choice not in self._options(key) for key, choice in choices.items()):
            raise ValueError(f"should be out of {list(self.parts)}, got {proposal.value}")
        return self._moved(self.rest | choices)

    def _moved(self, choices: dict) -> tuple:
        return tuple(
            key if self.rest[key] is False else (key, choice)
            for key, choice in choices.items()
            if choice != self.rest[key]
        )

    def _choices(self, value: tuple) -> dict:
        """What is chosen by key; True for a switch."""
        return dict((item, True) if self.rest.get(item) is False else item for item in value)

    def _options(self, key: Hashable) -> list:
        if self.rest.get(key) is False:
            return [True]
        return [choice for _, choice in self.parts[key].options] if key in self.parts else []


class Place(_Joined):
    """A position of a map, as row and column; beyond the edge is at the edge.

    Arguments:
        height, width: H, W of the map.
    """

    def __init__(self, height: int, width: int):
        short = {"layout": widgets.Layout(width="100px"), "style": {"description_width": "48px"}}
        self.row = widgets.BoundedIntText(0, max=height - 1, description="row", **short)
        self.column = widgets.BoundedIntText(0, max=width - 1, description="column", **short)
        parts = (self.row, self.column)
        super().__init__(parts, children=parts)
        self.value = (0, 0)

    def move(self, down: int, right: int) -> None:
        """Go some positions on."""
        row, column = self.value
        self.value = (row + down, column + right)

    def _read(self) -> tuple[int, int]:
        return self.row.value, self.column.value

    def _write(self, value: tuple[int, int]) -> None:
        self.row.value, self.column.value = value

    @traitlets.validate("value")
    def _inside(self, proposal):
        row, column = proposal.value
        return min(max(row, 0), self.row.max), min(max(column, 0), self.column.max)
