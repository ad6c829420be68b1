"""The explorer: see and move the latents of a flow, in a notebook.

Everything that it shows follows from `state()`, the values of its controls: see `scene`.
"""

import base64
import html
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from mfkit import escape
from mfkit.errors import InputError
from mfkit.explore.arrangement import Arrangement
from mfkit.explore.history import History
from mfkit.explore.latents import Latents
from mfkit.explore.presets import groups
from mfkit.explore.scene import Scene
from mfkit.explore.screen import Area
from mfkit.explore.state import controls
from mfkit.palette import PALETTE
from mfkit.plot import save

__all__ = ["LatentExplorer"]


class LatentExplorer(widgets.VBox):
    """Choose a sample, look at its latents and scores, change it, and see who notices.

    The panels:
        maps: every view with its map over it: score, agreement, or change.
        view: one view, enlarged.
        gaussian: the latents after block 0 .. K against N(0, 1).
        terms: the score taken apart.
        set: all samples' scores, the threshold, ROC curves.
        position: one latent, what the neighbours told it, the nearest training patches.
        messages: how the scores of all views answer to a change.
        way back: from latents to features, shown by the nearest training patches.

    Beside the picture stands the view graph: click on an arrow to mute it, on a view to choose it.
    What was computed beforehand is there at once. Where the network must run, a line says so. An
    error is shown where the picture was.

    Arguments:
        latents: the samples and flows.
        state: where to begin, see `restore`.
        bookmarks: states to come back to, by name. A button adds more; `bookmarks` is a plain
            dictionary, to be kept in a file, for example.
    """

    def __init__(
        self,
        latents: Latents,
        state: Mapping | None = None,
        bookmarks: Mapping[str, Mapping] | None = None,
    ):
        self.latents = latents
        self.bookmarks = {name: dict(kept) for name, kept in (bookmarks or {}).items()}
        self.controls = controls(latents)
        self.start = self.state()
        self.history = History(self.start)
        self._random = np.random.default_rng(0)
        self._held = False
        self._drawing = threading.RLock()  # JupyterLab lets widgets answer in a thread of their own
        self.parts = Arrangement(self)
        super().__init__(self.parts.children())
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.restore(state)
        self.history = History(self.state())
        self.parts.show_history()

    def state(self) -> dict:
        """The values of all controls: numbers, words, and tuples of them."""
        return {
            name: round(control.value, 3) if isinstance(control.value, float) else control.value
            for name, control in self.controls.items()
        }

    def restore(self, state: Mapping | None = None) -> None:
        """Bring back a state; what it does not name goes to where it was at the beginning.

        Raises:
            ValueError: a name or value that no control has; the explorer stays as it was.
        """
        state = {name: _tuples(value) for name, value in (state or {}).items()}
        if state.keys() - self.controls.keys():
            raise ValueError(f"'state' should name {', '.join(self.controls)}, got {list(state)}")
        before = self.state()
        with self._hold():
            try:
                for name, value in (self.start | state).items():
                    self.controls[name].value = value
            except Exception as error:  # traitlets and ipywidgets raise many kinds
                for kept, old in before.items():
                    self.controls[kept].value = old
                raise ValueError(f"'{name}' cannot be {value!r}: {error}") from None

    def change(self, **values) -> None:
        """Change some entries of the state, and leave the others."""
        self.restore({**self.state(), **values})

    def line(self) -> str:
        """One line of code that brings back the state."""
        return f"explorer.restore({self._moved()})"

    def scene(self) -> Scene:
        """What the state shows, without widgets."""
        return Scene(self.latents, self.state())

    def figure(self) -> Figure:
        """The picture of the state."""
        return self.scene().figure()

    def numbers(self) -> dict:
        """The scores of the state; see `mfkit.explore.scene.Scene.numbers`."""
        return self.scene().numbers()

    def alt(self) -> str:
        """The picture in words."""
        return html.unescape(re.sub("<[^>]*>", " ", self.parts.words.value)).replace("  ", " ")

    def save(self, _button=None) -> None:
        """Write the picture to the file that is named below it."""
        try:
            path = save(self.figure(), self.parts.file.value)
            self.parts.progress.value = f"saved {escape.html(path.resolve())}"
        except Exception as error:  # a folder that cannot be written, for example
            self._complain(error)

    def undo(self, _button=None) -> None:
        """Go back to the state before."""
        self._return(self.history.undo())

    def redo(self, _button=None) -> None:
        """Go forward again to what was undone."""
        self._return(self.history.redo())

    def keep(self, _button=None) -> None:
        """Add the state to the bookmarks."""
        self.bookmarks[f"bookmark {len(self.bookmarks) + 1}"] = self._moved()
        self.parts.show_bookmarks()

    def swap_at_random(self, _button=None) -> None:
        """Take a random view from a random other part, a sound one if there is any."""
        own = self.state()["sample"]
        others = [index for index in range(len(self.latents.samples)) if index != own]
        sound = [index for index in others if not self.latents.labels[index]] or others
        if sound:
            view = int(self._random.integers(self.latents.shape[0]))
            donor = sound[self._random.integers(len(sound))]
            self.change(view=view, swapped=((view, donor),))

    def mute_all(self, _button=None) -> None:
        """Mute all messages; if they are, let all be heard."""
        muted = self.state()["muted"]
        self.change(muted=() if muted == self.latents.edges else self.latents.edges)

    def walk(self, step: int) -> None:
        """Go to the next sample (1) or the one before (-1) of the chosen group."""
        state = self.state()
        found = groups(self.latents, state["model"], state["threshold"])[self.parts.group.value]
        if len(found):
            later = [i for i in found if (i - state["sample"]) * step > 0]
            self.controls["sample"].value = int((later or list(found))[0 if step > 0 else -1])

    def redraw(self) -> None:
        """Show the state: picture, words, graph, and the line of code."""
        with self._drawing:
            self._redraw()

    def _redraw(self) -> None:
        parts = self.parts
        parts.progress.value = "<i>working ...</i>"
        parts.code.value = f"<code>{escape.html(self.line())}</code>"
        parts.show_controls()
        try:
            scene = self.scene()
            parts.words.value = scene.words()
            parts.picture.show(scene.picture(), scene.areas(), self.alt())
            name = self.latents.names[scene.view]
            grid = tuple(self.latents.shape[2:])
            area = Area(("view", scene.view), f"{name}: choose a position", (0, 0, 1, 1), grid)
            parts.close_up.show(scene.close_up(), [area], f"{name} with its map")
            parts.show_graph(scene)
            parts.picture.layout.visibility = "visible"
        except Exception as error:  # whatever went wrong: the user must see it
            self._complain(error)
            parts.picture.layout.visibility = "hidden"
        finally:
            parts.progress.value = ""

    def _changed(self, _change=None) -> None:
        if not self._held:
            self.redraw()
            self.history.add(self.state())
            self.parts.show_history()

    def _clicked(self, change) -> None:
        """A click into the picture or the close-up."""
        told = change.new
        if not told:
            return
        kind, index = told["key"]
        if kind == "sample":
            self.controls["sample"].value = index
        elif "move" in told:
            row, column = np.add(self.state()["position"], told["move"]).tolist()
            self.change(view=index, position=self._inside(row, column))
        else:
            place = {"position": tuple(told["position"])} if "position" in told else {}
            self.change(view=index, **place)

    def _inside(self, row: int, column: int) -> tuple[int, int]:
        height, width = self.latents.shape[2:]
        return min(max(row, 0), height - 1), min(max(column, 0), width - 1)

    def _return(self, state: dict | None) -> None:
        if state is not None:
            place = self.history.place
            self.restore(state)
            self.history.place = place
            self.parts.show_history()

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Change several controls, draw once."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._changed()

    def _moved(self) -> dict:
        """The part of the state that is not as at the beginning."""
        return {name: now for name, now in self.state().items() if now != self.start[name]}

    def _complain(self, error: Exception) -> None:
        known = isinstance(error, InputError)
        text = escape.html(error if known else f"{type(error).__name__}: {error}")
        style = f"color:{PALETTE['defective']}"
        self.parts.words.value = f"<b style='{style}' role='alert'>{text}</b>"

    def __repr__(self) -> str:
        return f"LatentExplorer({self._moved()})"

    def _ipython_display_(self) -> None:
        """Show the tool, and below it its picture, for readers without a kernel."""
        display(super()._repr_mimebundle_(), raw=True)
        if self.parts.picture.layout.visibility == "visible":
            png = base64.b64encode(self.parts.picture.value).decode()
            display(
                {"image/png": png, "text/plain": f"{self!r}, its picture"},
                metadata={"image/png": {"alt": self.alt()}},
                raw=True,
            )


def _tuples(value):
    """Lists, as JSON brings them, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
