"""Controls that ipywidgets does not have: several switches with one value, and a map to click on.

Both are made of standard widgets, so they need no front end of their own and work by keyboard.
"""

import io
from collections.abc import Hashable, Iterable, Mapping

import ipywidgets as widgets
import numpy as np
import traitlets
from PIL import Image

__all__ = ["Pad", "Several", "encoded"]


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


class Pad(_Joined):
    """A position of a map: typed as row and column, or clicked on in a picture.

    Arguments:
        height, width: H, W of the map.
        size: edge of the picture, px.
    """

    def __init__(self, height: int, width: int, size: int = 224):
        short = {"layout": widgets.Layout(width="130px"), "style": {"description_width": "55px"}}
        self.row = widgets.BoundedIntText(0, max=height - 1, description="row", **short)
        self.column = widgets.BoundedIntText(0, max=width - 1, description="column", **short)
        edge = {"width": f"{size}px", "height": f"{size}px"}
        self.picture = widgets.Image(format="png", layout=widgets.Layout(**edge))
        grid = widgets.GridBox(
            self._buttons(height, width),
            layout=widgets.Layout(
                **edge,
                margin=f"-{size}px 0 0 0",  # over the picture
                grid_template_columns=f"repeat({width}, 1fr)",
                grid_template_rows=f"repeat({height}, 1fr)",
                grid_gap="0",
                overflow="hidden",
            ),
        )
        super().__init__(
            (self.row, self.column),
            children=(widgets.VBox([self.row, self.column]), widgets.VBox([self.picture, grid])),
        )
        self.value = (0, 0)

    def _buttons(self, height: int, width: int) -> list[widgets.Button]:
        """A clear button for each position, left out when tabbing: typing is for the keyboard."""
        bare = widgets.Layout(
            width="auto", height="auto", min_width="0", margin="0", padding="0", border="0"
        )
        clear = widgets.ButtonStyle(button_color="transparent")
        buttons = []
        for place in np.ndindex(height, width):
            button = widgets.Button(layout=bare, style=clear, tabbable=False)
            button.on_click(lambda _, place=place: self.set_trait("value", place))
            buttons.append(button)
        return buttons

    def _read(self) -> tuple[int, int]:
        return self.row.value, self.column.value

    def _write(self, value: tuple[int, int]) -> None:
        self.row.value, self.column.value = value

    @traitlets.validate("value")
    def _inside(self, proposal):
        row, column = proposal.value
        return min(max(row, 0), self.row.max), min(max(column, 0), self.column.max)


def encoded(image: np.ndarray) -> bytes:
    """An image (H, W, 3) uint8 as PNG, packed quickly."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
