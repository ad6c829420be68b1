"""The state of the explorer: one control for every entry."""

import ipywidgets as widgets

from mfkit.explore.choice import threshold
from mfkit.explore.clickable import Graph
from mfkit.explore.controls import Place, Several
from mfkit.explore.latents import Latents
from mfkit.explore.screens import SCREENS

__all__ = ["controls"]


def controls(latents: Latents) -> dict[str, widgets.Widget]:
    """A control for every entry of the state."""
    views, _, height, width = latents.shape
    names = latents.names
    samples = [(sample.title, index) for index, sample in enumerate(latents.samples)]
    models = list(latents.flows)
    return {
        "sample": _list("sample", samples, 210),
        "model": _list("model", models, 180, latents.last),
        "against": _list(
            "against",
            [("nobody", ""), *zip(models, models, strict=True)],
            220,
            help="a second model",
        ),
        "panel": _row(list(SCREENS)),
        "view": _row(list(zip(names, range(views), strict=True))),
        "position": Place(height, width),
        "map": _list("map", ["score", "agreement", "change"], 150),
        **_sliders(latents),
        "truth": widgets.Checkbox(True, description="true defect", indent=False, layout=_wide(100)),
        "foreground": widgets.Checkbox(False, description="object", indent=False, layout=_wide(80)),
        "before": widgets.Checkbox(
            False, description="show before", indent=False, layout=_wide(120)
        ),
        "muted": Graph(latents.edges, names),
        "swapped": Several(
            {
                view: _list(f"{name} from", [("own part", -1), *samples], 190)
                for view, name in enumerate(names)
            }
        ),
        "absent": Several(
            {
                view: widgets.ToggleButton(description=f"no camera {name}", layout=_wide(120))
                for view, name in enumerate(names)
            }
        ),
        "towards": _list("towards", samples, 190),
        "draw": widgets.BoundedIntText(
            0, max=999, description="draw no.", layout=_wide(130), style=_label(58)
        ),
    }


def _sliders(latents: Latents) -> dict[str, widgets.Widget]:
    low, high = (round(limit, 2) for limit in latents.limits["scores"])
    usual = round(threshold(latents, latents.last), 2)
    ends = {
        "opacity": (0.5, 0, 1, 0.1),
        "threshold": (usual, low, high, 0.01),
        "temperature": (1.0, 0, 1.5, 0.1),
        "fraction": (0.0, 0, 1, 0.1),
    }
    found = {
        name: widgets.FloatSlider(value, min=least, max=most, step=step, **_slider(name))
        for name, (value, least, most, step) in ends.items()
    }
    block = widgets.IntSlider(latents.blocks, 0, latents.blocks, **_slider("block"))
    return {"block": block, **found}


def _slider(name: str) -> dict:
    return {
        "description": name,
        "continuous_update": False,
        "layout": _wide(220),
        "style": _label(72),
    }


def _list(name: str, options: list, width: int, value=None, help: str = "") -> widgets.Dropdown:
    chosen = {} if value is None else {"value": value}
    label = _label(8 + 7 * len(name))
    return widgets.Dropdown(
        options=options, description=name, layout=_wide(width), style=label, tooltip=help, **chosen
    )


def _row(options: list) -> widgets.ToggleButtons:
    return widgets.ToggleButtons(options=options, style={"button_width": "auto"})


def _wide(pixels: int) -> widgets.Layout:
    return widgets.Layout(width=f"{pixels}px", flex="0 0 auto")


def _label(pixels: int) -> dict:
    return {"description_width": f"{pixels}px"}
