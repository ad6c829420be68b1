"""The explorer: see and move the latents of a flow, in a notebook.

Everything that it shows follows from `state()`, the values of its controls: see `scene`.
"""

import base64
import io
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ipywidgets as widgets
from matplotlib.figure import Figure

from mfkit import escape
from mfkit.explore.controls import encoded
from mfkit.explore.latents import Latents
from mfkit.explore.scene import Scene, presets
from mfkit.explore.screens import SCREENS
from mfkit.explore.state import controls
from mfkit.palette import PALETTE
from mfkit.plot import save

__all__ = ["LatentExplorer"]

THUMBNAIL = 96  # px


class LatentExplorer(widgets.VBox):
    """Choose a sample, look at its latents and scores, change it, and see who notices.

    The panels:
        maps: every view with its score map over it.
        gaussian: the latents after block 0 .. K against N(0, 1).
        terms: the score taken apart.
        set: all samples' scores, the threshold, the ROC curve.
        position: one latent, what the neighbours told it, the nearest training patches.
        messages: the view graph, and how the scores of all views answer to a change.
        way back: from latents to features, shown by the nearest training patches.

    What was computed beforehand is there at once. Where the network must run, a line says so. An
    error is shown where the picture was.

    Arguments:
        latents: the samples and flows.
        state: where to begin, see `restore`.
    """

    def __init__(self, latents: Latents, state: Mapping | None = None):
        self.latents = latents
        self.controls = controls(latents)
        self.start = self.state()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.progress, self.words, self.code = (widgets.HTML() for _ in range(3))
        edge = {"width": f"{THUMBNAIL}px", "height": f"{THUMBNAIL}px"}
        self.thumbnails = [
            (widgets.Image(format="png", layout=widgets.Layout(**edge)), widgets.HTML())
            for _ in range(latents.shape[0])
        ]
        self.pages = widgets.Stack(
            [
                widgets.HBox(
                    [self.controls[name] for name in screen.controls],
                    layout=widgets.Layout(flex_flow="row wrap"),
                )
                for screen in SCREENS.values()
            ]
        )
        super().__init__([*self._choose(), self.pages, *self._look(), self._move_and_keep()])
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self._held = False
        self._drawing = threading.RLock()  # JupyterLab lets widgets answer in a thread of their own
        self.restore(state)

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

    def save(self, _button=None) -> None:
        """Write the picture to the file that is named in the drawer "Keep"."""
        try:
            path = save(self.figure(), self.file.value)
            self.progress.value = f"saved {escape.html(path.resolve())}"
        except Exception as error:  # a folder that cannot be written, for example
            self._complain(error)

    def redraw(self) -> None:
        """Show the state: picture, words, thumbnails, and the line of code."""
        with self._drawing:
            self._redraw()

    def _redraw(self) -> None:
        self.progress.value = "<i>working ...</i>"
        self.code.value = f"<code>{escape.html(self.line())}</code>"
        self.pages.selected_index = self.controls["panel"].index
        try:
            scene = self.scene()
            self._show_views(scene)
            self.picture.value = _png(scene.figure())
            self.words.value = scene.words()
            self.picture.layout.visibility = "visible"
        except Exception as error:  # whatever went wrong: the user must see it
            self._complain(error)
            self.picture.layout.visibility = "hidden"
        finally:
            self.progress.value = ""

    def _changed(self, _change=None) -> None:
        if not self._held:
            self.redraw()

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Change several controls, draw once."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.redraw()

    def _moved(self) -> dict:
        """The part of the state that is not as at the beginning."""
        return {name: now for name, now in self.state().items() if now != self.start[name]}

    def _show_views(self, scene: Scene) -> None:
        """Fill the strip of views, and the map to click on."""
        for view, (image, caption) in enumerate(self.thumbnails):
            source = self.latents.samples[scene.images[view]]
            picture = self.latents.picture(scene.images[view], view)
            image.value = encoded(picture[::2, ::2])
            score = scene.answer.images[view]
            label = source.codes[view] if source.labels[view] else "sound"
            shown = "absent" if math.isnan(score) else f"{label} {score:.2f}"
            caption.value = escape.html(f"{self.latents.names[view]}: {shown}")
        if "position" in SCREENS[scene.state["panel"]].controls:
            pad = self.controls["position"]
            pad.picture.value = encoded(scene.overlay(scene.answer, scene.view, marked=True))

    def _complain(self, error: Exception) -> None:
        text = escape.html(f"{type(error).__name__}: {error}")
        self.words.value = f"<b style='color:{PALETTE['defective']}' role='alert'>{text}</b>"

    def _choose(self) -> list[widgets.Widget]:
        """Presets, the choice of sample and model, the strip of views, the panels."""
        buttons = []
        for name, state in presets(self.latents).items():
            button = widgets.Button(description=name, layout=widgets.Layout(width="auto"))
            button.on_click(lambda _, state=state: self.restore(state))
            buttons.append(button)
        models = [self.controls[name] for name in ("model", "against") if name in self.controls]
        if len(models) and len(self.latents.flows) > 2:
            play = widgets.Play(max=len(self.latents.flows) - 1, interval=800, show_repeat=False)
            widgets.link((play, "value"), (self.controls["model"], "index"))
            models.insert(1, play)
        strip = [widgets.VBox(pair) for pair in self.thumbnails]
        wrap = widgets.Layout(flex_flow="row wrap")
        return [
            widgets.HBox(buttons, layout=wrap),
            widgets.HBox([self.controls["sample"], *models], layout=wrap),
            widgets.HBox(strip, layout=wrap),
            self.controls["panel"],
        ]

    def _look(self) -> list[widgets.Widget]:
        self.progress.layout.height = "24px"
        return [self.picture, self.progress, self.words]

    def _move_and_keep(self) -> widgets.Accordion:
        """What changes the sample, and what keeps the state."""
        self.file = widgets.Text("explorer.png", description="file")
        button = widgets.Button(description="save the picture")
        button.on_click(self.save)
        keep = widgets.VBox([self.code, widgets.HBox([self.file, button])])
        move = widgets.VBox(
            [
                part
                for name, text in (
                    ("muted", "Messages to mute, from sender to receiver:"),
                    ("swapped", "Views to take from another sample:"),
                    ("absent", "Cameras to take away:"),
                )
                for part in (widgets.Label(text), self.controls[name])
            ]
        )
        names = ("Move: messages, views, cameras", "Keep: state and picture")
        return widgets.Accordion([move, keep], titles=names, selected_index=0)

    def __repr__(self) -> str:
        return f"LatentExplorer({self._moved()})"

    def _repr_mimebundle_(self, **kwargs):  # where nothing runs, show the picture alone
        png = base64.b64encode(self.picture.value).decode()
        return super()._repr_mimebundle_(**kwargs) | {"image/png": png}


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", pil_kwargs={"compress_level": 1})
    return file.getvalue()


def _tuples(value):
    """Lists, as JSON brings them, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
