"""Where the parts of the explorer stand: all controls and the whole picture on a laptop screen."""

import math

import ipywidgets as widgets

from mfkit.data import CODES, MISFITS
from mfkit.explore.clickable import Picture
from mfkit.explore.presets import groups
from mfkit.explore.scene import Scene
from mfkit.explore.screens import SCREENS

__all__ = ["Arrangement"]

LEFT, WIDE = 236, 800  # px: the column of the graph, and the picture at most
CLOSE_UP = 168  # px


class Arrangement:
    """The boxes, buttons and lines around the controls of an explorer.

    Attributes:
        picture, close_up: of the panel, and of the chosen view.
        words, progress, code: what is shown, what goes on, how to come back.
        file: where the picture is saved.
        group: which samples one walks through.
    """

    def __init__(self, explorer):
        self.explorer, self.controls = explorer, explorer.controls
        self.picture = Picture(layout=widgets.Layout(max_width=f"{WIDE}px", margin="2px"))
        edge = f"{CLOSE_UP}px"
        self.close_up = Picture(layout=widgets.Layout(width=edge, height=edge, margin="2px"))
        self.words, self.progress, self.code = (widgets.HTML() for _ in range(3))
        self.words.layout = widgets.Layout(max_width=f"{WIDE}px", margin="0")
        self.words.add_class("mfkit-words")
        self.code.add_class("mfkit-words")
        self.code.layout = widgets.Layout(margin="0", overflow="hidden")
        self.progress.layout = widgets.Layout(margin="0")
        self.file = widgets.Text("explorer.png", layout=_wide(110))
        self.group = widgets.Dropdown(layout=_wide(120), tooltip="which parts to walk through")
        self.marks = _row()
        self.undo = self._button("↶", "undo", explorer.undo, 36)
        self.redo = self._button("↷", "redo", explorer.redo, 36)
        self.muting = self._button("mute all", "mute all messages", explorer.mute_all, 84)
        for picture in (self.picture, self.close_up):
            picture.observe(explorer._clicked, "clicked")
        self.controls["muted"].observe(self._view_chosen, "view")
        self._groups()
        self.show_bookmarks()

    def children(self) -> list[widgets.Widget]:
        """Everything, from the top."""
        explorer, controls = self.explorer, self.controls
        walk = [
            self.group,
            self._button("◀", "the part before", lambda _: explorer.walk(-1), 32),
            self._button("▶", "the next part", lambda _: explorer.walk(1), 32),
        ]
        models = [controls["model"], *self._play(), controls["against"]]
        choose = _row(*walk, controls["sample"], *models)
        every = dict.fromkeys(name for screen in SCREENS.values() for name in screen.controls)
        every.pop("against")
        if explorer.latents.split.foreground is None:
            every.pop("foreground")  # every position counts: there is nothing to outline
        self.options = _row(*(controls[name] for name in every))
        dice = self._button("⚄", "one view from a random part", explorer.swap_at_random, 36)
        left = widgets.VBox(
            [
                controls["muted"],
                _row(self.muting, controls["before"]),
                controls["view"],
                controls["swapped"],
                _row(controls["absent"], dice),
                self.close_up,
                controls["position"],
            ],
            layout=widgets.Layout(width=f"{LEFT}px", flex="0 0 auto", overflow="hidden"),
        )
        right = widgets.VBox(
            [controls["panel"], self.options, self.picture, self.words],
            layout=widgets.Layout(flex="1 1 300px", min_width="300px", overflow="hidden"),
        )
        keep = [
            self.undo,
            self.redo,
            self._button("bookmark", "come back to this state later", explorer.keep, 96),
            self.file,
            self._button("save picture", "write it into this file", explorer.save, 100),
        ]
        middle = widgets.HBox([left, right], layout=widgets.Layout(align_items="flex-start"))
        return [_row(self.marks, *keep), choose, middle, _row(self.code, self.progress)]

    def show_controls(self) -> None:
        """Show the controls of the panel, and those of the chosen view."""
        state = self.explorer.state()
        wanted = SCREENS[state["panel"]].controls
        for control in self.options.children:
            name = next(n for n, other in self.controls.items() if other is control)
            control.layout.display = None if name in wanted else "none"
        compares = "against" in wanted and len(self.explorer.latents.flows) > 1
        self.controls["against"].layout.display = None if compares else "none"
        for name in ("swapped", "absent"):
            self.controls[name].only(state["view"])
        self.muting.description = (
            "hear all" if state["muted"] == self.controls["muted"].edges else "mute all"
        )

    def show_graph(self, scene: Scene) -> None:
        """Draw the graph of the model, what is changed, and how image scores have moved."""
        edges = scene.latents.flows[scene.model].graph.possible_edges
        scores = zip(scene.answer.images, scene.whole.images, strict=True)
        moves = [now - before for now, before in scores]
        notes = ["" if math.isnan(m) or abs(m) < 0.005 else f"{m:+.2f}" for m in moves]
        self.controls["muted"].show(
            edges=[list(edge) for edge in edges],
            chosen=scene.view,
            swapped=[view for view, _ in scene.state["swapped"]],
            gone=[view for view, there in enumerate(scene.answer.present.tolist()) if not there],
            notes=notes,
        )

    def show_history(self) -> None:
        """Is there anything to undo or redo?"""
        self.undo.disabled, self.redo.disabled = self.explorer.history.ends

    def show_bookmarks(self) -> None:
        """A button for every state that is worth a look."""
        states = {**self.explorer.latents.presets, **self.explorer.bookmarks}
        buttons = []
        for name, state in states.items():
            button = widgets.Button(description=name, layout=widgets.Layout(width="auto"))
            button.on_click(lambda _, state=state: self.explorer.restore(state))
            buttons.append(button)
        old, self.marks.children = self.marks.children, buttons
        for button in old:
            button.close()

    def _groups(self) -> None:
        latents = self.explorer.latents
        names = groups(latents, latents.last, 0.0)
        self.group.options = [(_meaning(name), name) for name in names]
        self.group.value = "all"

    def _play(self) -> list[widgets.Widget]:
        """A clock, if there are several models: one after the other."""
        if len(self.explorer.latents.flows) < 3:
            return []
        play = widgets.Play(
            max=len(self.explorer.latents.flows) - 1, interval=800, show_repeat=False
        )
        widgets.link((play, "value"), (self.controls["model"], "index"))
        return [play]

    def _view_chosen(self, change) -> None:
        if change.new >= 0:
            self.controls["view"].value = change.new

    @staticmethod
    def _button(words: str, help: str, act, width: int) -> widgets.Button:
        button = widgets.Button(description=words, tooltip=help, layout=_wide(width))
        button.on_click(act)
        return button


def _meaning(name: str) -> str:
    """A code with what it means."""
    word, _, code = name.partition("code ")
    return name if word or not code else f"{name}: {CODES.get(code, MISFITS.get(code, 'a defect'))}"


def _row(*children) -> widgets.HBox:
    layout = widgets.Layout(flex_flow="row wrap", align_items="center", overflow="hidden")
    return widgets.HBox(list(children), layout=layout)


def _wide(pixels: int) -> widgets.Layout:
    return widgets.Layout(width=f"{pixels}px", flex="0 0 auto")
