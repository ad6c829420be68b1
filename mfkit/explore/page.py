"""The explorer without a kernel: one page that opens from disk, everything in it beforehand.

`collect` asks the flows everything that the page can show and makes one dictionary of it;
`write_page` puts it into a template with its style and its script. The page loads nothing.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from tqdm.auto import tqdm

from mfkit.data import CODES, MISFITS
from mfkit.explore.beforehand import changes, limits, record
from mfkit.explore.choice import Reason, choose, donors
from mfkit.explore.latents import Latents
from mfkit.explore.patches import PIXELS
from mfkit.files import whole_file
from mfkit.palette import HEAT, PALETTE, SIGNED

__all__ = ["LIMIT", "collect", "write_page"]

LIMIT = 8_000_000  # bytes: what a page may have
STEPS = 65535  # a score is one of so many numbers between the lowest and the highest
UNIT = 0.1  # nats per channel above the lowest: up to here steps are even, then they grow


def write_page(
    latents: Latents,
    path: str | Path,
    samples: Sequence[int] | None = None,
    title: str = "",
    about: str = "",
) -> Path:
    """Write an explorer that needs nothing but a browser.

    It shows some samples as all flows of `latents` see them: as they are, with every message
    muted, every view swapped with that of two other samples, every camera missing. Its state is in
    its address, after the #; `?hide=graph,try` leaves controls out (the page's help names them).

    Arguments:
        latents: samples and flows.
        path: the file to write, such as "explorer.html".
        samples: indices of the samples to show; None: a dozen that are worth it, see
            `mfkit.explore.choice.choose`.
        title: of the page; "" takes the category's name.
        about: how the models were made, for the page's help.

    Returns:
        its path.

    Raises:
        ValueError: the page would be larger than `LIMIT`, or `latents` do not know how well the
            views of sound parts agree.
    """
    chosen = choose(latents) if samples is None else {int(index): Reason() for index in samples}
    page = _read("page.html")
    for name in ("graph.css", "page.css", "page.state.js", "graph.js", "page.js"):
        page = page.replace(f"/* {name} */", _read(name))
    before, after = page.split("{/* data */}")
    shown = collect(latents, chosen, title, about)
    text = json.dumps(shown, separators=(",", ":"), allow_nan=False)
    page = before + text.replace("<", r"\u003c") + after  # so nothing in it can end the script
    size = len(page.encode())
    if size > LIMIT:
        raise ValueError(
            f"'samples' should fit into {LIMIT / 1e6:.0f} MB, {len(chosen)} take "
            f"{size / 1e6:.1f}; choose fewer"
        )
    with whole_file(path) as draft:
        draft.write_text(page, encoding="utf-8")
    return Path(path)


def _read(name: str) -> str:
    return (files("mfkit.explore") / name).read_text(encoding="utf-8")


def collect(
    latents: Latents, chosen: Mapping[int, Reason], title: str = "", about: str = ""
) -> dict:
    """All that a page shows, as plain numbers and words.

    Score maps are in nats per channel, kept in steps of `scale` (see `_packed`). Of every
    sample and flow there is one for each change; their keys are those of the address: "" as it is,
    "silent" all messages muted, "mute-C1-C3" the one from C1 to C3, "swap-C2-1" view C2 from the
    first donor, "gone-C4" this camera missing.

    Arguments:
        latents: samples and flows.
        chosen: why each sample was chosen, by its index.
        title: "" takes the category's name.
        about: how the models were made.
    """
    order, mates = list(chosen), donors(latents, list(chosen))
    maps = {}
    for index in tqdm(order, desc="page"):
        maps[index] = {name: changes(latents, name, index, mates[index]) for name in latents.flows}
    every = [values for each in maps.values() for made in each.values() for values in made.values()]
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    scale = (low, UNIT, float(np.log1p((high - low) / UNIT)) or 1.0)
    return {
        "title": title or latents.samples[0].category,
        "about": about,
        "names": list(latents.names),
        "height": latents.shape[2],
        "width": latents.shape[3],
        "pixels": PIXELS,
        "scale": scale,
        "limits": limits(latents, maps),
        "colours": {
            "score": _lookup(HEAT),
            "signed": _lookup(SIGNED),
        },
        "palette": PALETTE,
        "labels": latents.labels.tolist(),
        "flows": [
            {
                **record(latents, name),
                "usual": usual
                and {part: _base64(v.numpy().astype("<f4")) for part, v in usual._asdict().items()},
            }
            for name, usual in latents.usual.items()
        ],
        "questions": [
            _question(latents, index, place, reason)
            for place, (index, reason) in enumerate(chosen.items())
            if reason.question
        ],
        "parts": [
            {
                **_part(latents, index, chosen[index].why),
                "donors": [order.index(mate) for mate in mates[index]],
                "maps": [
                    {key: _packed(values, scale) for key, values in made.items()}
                    for made in maps[index].values()
                ],
            }
            for index in order
        ],
    }


def _part(latents: Latents, index: int, why: str) -> dict:
    """What is known about a sample, with its pictures."""
    sample, views = latents.samples[index], range(latents.shape[0])
    shown = latents.shown([index])
    return {
        "name": sample.name,
        "title": sample.title,
        "defective": bool(sample.label),
        "code": sample.code,
        "meaning": CODES.get(sample.code, MISFITS.get(sample.code, "")),
        "codes": list(sample.codes),
        "why": why,
        "present": list(sample.present),
        "pictures": [_picture(latents.picture(index, view)) for view in views],
        "outlines": [_outline(latents.mask(index, view)) for view in views],
        "counts": None if shown is None else _base64(shown[0].numpy().astype(np.uint8)),
    }


def _question(latents: Latents, index: int, place: int, reason: Reason) -> dict:
    """A question, and a state to answer it, at the position with the highest score."""
    scores = np.nan_to_num(latents.whole[latents.last][index].map, nan=-np.inf)
    view, row, column = map(int, np.unravel_index(scores.argmax(), scores.shape))
    state = {"part": place, "view": view, "row": row, "column": column, "map": reason.map}
    change = reason.change.format(view=latents.names[view])
    return {"text": reason.question, "state": {**state, "change": change}}


def _picture(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _outline(mask: np.ndarray) -> str:
    """The edge of an area as an SVG path in px; "" if there is none."""
    if not mask.any():
        return ""
    lines = Figure().subplots().contour(np.pad(mask, 1), levels=[0.5]).allsegs[0]
    return "".join(
        "M" + "L".join(f"{x - 0.5:.0f} {y - 0.5:.0f}" for x, y in line) for line in lines
    )


def _packed(values: np.ndarray, scale: tuple[float, float, float]) -> str:
    """Scores as whole steps of their logarithm, `low + unit * expm1(step / STEPS * end)`.

    A view of another part can score a hundred thousand times as high as those that belong there:
    even steps would leave nothing of what is usual. Absent views are 0.
    """
    low, unit, end = scale
    far = np.log1p((np.nan_to_num(values, nan=low) - low).clip(0) / unit)
    return _base64(np.round(far * (STEPS / end)).astype("<u2"))


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _lookup(colours) -> str:
    """256 colours of a map, three bytes each."""
    return _base64((255 * colours(np.linspace(0, 1, 256))[:, :3]).round().astype(np.uint8))
