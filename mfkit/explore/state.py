"""The state of the explorer: one control for every entry."""

import ipywidgets as widgets
import numpy as np

from mfkit.explore.controls import Pad, Several
from mfkit.explore.latents import Latents
from mfkit.explore.screens import SCREENS

__all__ = ["controls"]


def controls(latents: Latents) -> dict[str, widgets.Widget]:
    """A control for every entry of the state."""
    views, _, height, width = latents.shape
    names = latents.names
    samples = [(sample.title, index) for index, sample in enumerate(latents.samples)]
    models = list(latents.flows)
    low, high = (round(limit, 2) for limit in latents.limits["scores"])
    sound = latents.scores[latents.last][~latents.labels]
    quantile = np.quantile(sound if len(sound) else latents.scores[latents.last], 0.95)
    late = {"continuous_update": False, "style": {"description_width": "88px"}}
    wrap = {"flex_flow": "row wrap"}
    small = widgets.Layout(width="90px")
    return {
        "sample": widgets.Dropdown(options=samples, description="sample"),
        "model": widgets.SelectionSlider(
            options=models, value=latents.last, description="model", **late
        ),
        "against": widgets.Dropdown(
            options=[("nobody", ""), *zip(models, models, strict=True)], description="against"
        ),
        "panel": widgets.ToggleButtons(options=list(SCREENS), style={"button_width": "auto"}),
        "view": widgets.ToggleButtons(
            options=list(zip(names, range(views), strict=True)), style={"button_width": "auto"}
        ),
        "position": Pad(height, width),
        "block": widgets.IntSlider(latents.blocks, 0, latents.blocks, description="block", **late),
        "opacity": widgets.FloatSlider(0.5, min=0, max=1, step=0.1, description="opacity", **late),
        "threshold": widgets.FloatSlider(
            round(quantile, 2), min=low, max=high, step=0.01, description="threshold", **late
        ),
        "truth": widgets.Checkbox(True, description="true defect", indent=False),
        "foreground": widgets.Checkbox(
            False, description="object", indent=False, disabled=latents.split.foreground is None
        ),
        "muted": Several(
            {
                (j, i): widgets.ToggleButton(description=f"{names[j]} → {names[i]}", layout=small)
                for j, i in latents.edges
            },
            **wrap,
        ),
        "swapped": Several(
            {
                view: widgets.Dropdown(
                    options=[("own", -1), *samples],
                    description=name,
                    layout=widgets.Layout(width="150px"),
                    style={"description_width": "25px"},
                )
                for view, name in enumerate(names)
            },
            **wrap,
        ),
        "absent": Several(
            {
                view: widgets.ToggleButton(description=name, layout=small)
                for view, name in enumerate(names)
            },
            **wrap,
        ),
        "temperature": widgets.FloatSlider(
            1.0, min=0, max=1.5, step=0.1, description="temperature", **late
        ),
        "towards": widgets.Dropdown(options=samples, description="towards"),
        "fraction": widgets.FloatSlider(
            0.0, min=0, max=1, step=0.1, description="fraction", **late
        ),
        "draw": widgets.BoundedIntText(0, max=999, description="draw no."),
    }
