"""Widgets that one can click on: a picture with places in it, and the view graph.

Those of ipywidgets report no clicks. anywidget carries the few lines of JavaScript that do, without
a build step; both also work by keyboard.
"""

from importlib.resources import files

import anywidget
import traitlets

from mfkit.explore.screen import Area
from mfkit.palette import PALETTE

__all__ = ["Graph", "Picture"]


def _read(*names: str) -> str:
    return "\n".join((files("mfkit.explore") / name).read_text("utf-8") for name in names)


_COLOURS = "".join(f"--{name}: {colour};" for name, colour in PALETTE.items())
_STYLE = f".mfkit {{ {_COLOURS} }}\n" + _read("widgets.css", "graph.css")


class _Told(anywidget.AnyWidget):
    """A widget that hands on what its front end tells."""

    _css = _STYLE

    def __init__(self, **traits):
        super().__init__(**traits)
        self.on_msg(lambda _widget, content, _buffers: self.told(content))

    def told(self, content: dict) -> None:
        """A click or a key."""
        raise NotImplementedError


class Picture(_Told):
    """A PNG with places that can be clicked on.

    Attributes:
        value: the PNG's bytes.
        alt: what it shows, in words.
        areas: see `show`.
        clicked: the last click as a dictionary: "key" of the area, and "position" (row, column) or,
            by an arrow key, "move" (down, right), where the area has positions.
    """

    _esm = _read("picture.widget.js")
    value = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    areas = traitlets.List().tag(sync=True)
    clicked = traitlets.Dict()

    def show(self, png: bytes, areas: list[Area], alt: str) -> None:
        """Show another picture."""
        with self.hold_sync():  # one message
            self.alt = alt
            self.value = png
            self.areas = [
                {**vars(area), "name": f"{place} {' '.join(map(str, area.key))}"}
                for place, area in enumerate(areas)
            ]

    def told(self, content: dict) -> None:
        """A click: `clicked` changes, also if it is the same place again."""
        self.clicked = {}
        self.clicked = content


class Graph(_Told):
    """The view graph; its value are the muted edges, in the order of all edges.

    Arguments:
        edges: (sender, receiver) that can be muted.

    Attributes:
        value: those that are muted.
        shown: what is drawn: names, edges, the chosen view, swapped and absent views, notes.
        view: the view that was clicked on last; -1: none.

    Raises:
        ValueError: the value is set to what is no edge.
    """

    _esm = _read("graph.js", "graph.widget.js")
    value = traitlets.Tuple().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    view = traitlets.Int(-1)

    def __init__(self, edges: tuple[tuple[int, int], ...], names: tuple[str, ...]):
        self.edges = edges
        super().__init__(shown=self._look(names, edges))

    def show(self, **changes) -> None:
        """Change some of what is drawn."""
        self.shown = self.shown | changes

    def told(self, content: dict) -> None:
        """A click on an arrow or on a view."""
        if "edge" in content:
            edge = tuple(content["edge"])
            self.value = tuple(e for e in self.edges if (e in self.value) != (e == edge))
        else:
            self.view = -1
            self.view = content["view"]

    @traitlets.validate("value")
    def _known(self, proposal):
        wanted = [tuple(edge) for edge in proposal.value]
        if not set(wanted) <= set(self.edges):
            raise ValueError(f"should be out of {list(self.edges)}, got {proposal.value}")
        return tuple(edge for edge in self.edges if edge in wanted)

    @staticmethod
    def _look(names, edges) -> dict:
        return {
            "names": list(names),
            "edges": [list(edge) for edge in edges],
            "chosen": 0,
            "swapped": [],
            "gone": [],
            "notes": [""] * len(names),
        }
