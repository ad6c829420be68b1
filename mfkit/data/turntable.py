"""ETH-80 shows objects on a turntable: turn them, and mix in objects that do not belong there.

The views are copied to `ROOT/views/<category>/<sample>/`, because one image serves several samples;
the set itself stays as it is. A second call goes on where the first one ended.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from mfkit.data.images import read_image
from mfkit.data.layout import image_folder
from mfkit.data.other_sets import folder_in, folders, pictures_in
from mfkit.data.own_cameras import Found, write_rows
from mfkit.data.strips import is_made, marked, save_view, view_folder
from mfkit.errors import Fault, InputError

__all__ = ["write_turntable_index"]

VIEWS = ("000-000", "045-000", "045-090", "045-180", "045-270")
OBJECT = re.compile(r"(?P<kind>.*[^0-9])(?P<number>[0-9]+)")


def write_turntable_index(
    root: str | Path,
    category: str = "misfits",
    cameras: Sequence[str] = VIEWS,
    held_out: int = 2,
) -> Path:
    """Make a multi-view set of ETH-80: objects on a turntable, seen from above and from the sides.

    ```
    ROOT/apple1/apple1-045-090.png               kind and number, elevation, azimuth
    ROOT/apple1/maps/apple1-045-090-map.png      where the object is, white on black
    ```

    The objects are turned: each gives as many samples as there are sides, with the same view from
    above (which way it would turn could not be found out). The last objects of each kind are held
    out for tests. There are two tasks:

    * "misfits": all kinds are sound. A defective sample is a sound one in which one side shows an
      object of another kind: every view alone is sound, only together they are not.
    * a kind, such as "cup": it alone is sound, and held-out objects of other kinds are defective.

    The mask of a defect is the map of the object that does not belong there.

    Arguments:
        root: the folder that holds the objects' folders, or folders of them.
        category: "misfits" or a kind; also the name of the index.
        cameras: elevation and azimuth of V views as in the files' names: first the view from
            above, then the sides in the order in which the table turns.
        held_out: how many objects of each kind are for tests.

    Returns:
        `ROOT/realiad_jsons/<category>.json`.

    Raises:
        InputError: there is no such kind, a kind has too few objects, an object lacks a view or a
            map, or a map is not white on black or has another size than its image.

    Source: the files' names are those of ETH-80 (Leibe and Schiele, CVPR 2003) as programs of
        users read them. Whether maps hold 1 or 255 could not be found out: what is brighter than
        half of a map's brightest pixel is the object.
    """
    if held_out < 1 or len(cameras) < 3:
        raise InputError(
            "'held_out' should be 1 or more, and 'cameras' one view from above and two sides or "
            f"more, got {held_out} and {list(cameras)}"
        )
    kinds = _kinds(Path(root), cameras[0])
    ample = len(kinds) > 1 and min(map(len, kinds.values())) > held_out
    if not ample or category not in ("misfits", *kinds):
        raise Fault(
            f"{root}: no kind {category!r}, or too few objects; expected folders such as apple1 "
            f"with apple1-{cameras[0]}.png, of two kinds or more and over {held_out} of each. Give "
            "'misfits' or a kind that is there: "
            + (", ".join(f"{kind} ({len(there)})" for kind, there in kinds.items()) or "none is"),
            "no data",
        )
    held = {kind: objects[-held_out:] for kind, objects in kinds.items()}
    samples = []
    for kind in kinds if category == "misfits" else [category]:
        for thing in kinds[kind]:
            samples += _sound(thing, "test" if thing in held[kind] else "train", cameras)
    if category == "misfits":
        samples += _misfits(samples, held)
    else:
        samples += _others(category, held, cameras)
    target = view_folder(root, category)
    bar = tqdm(samples, desc=category, unit="sample", leave=False)
    found = [_arrange(target / sample.name, cameras, sample) for sample in bar]
    return write_rows(Path(root), category, target, found, cameras)


@dataclass(frozen=True)
class _Plan:
    """A sample to be: the object and its view in each camera's place, and which are strange."""

    name: str
    split: str
    code: str
    faces: tuple[tuple[Path, str], ...]
    strange: tuple[int, ...] = ()


def _kinds(root: Path, view: str) -> dict[str, list[Path]]:
    """The objects' folders by kind; a folder is an object's if it holds its first view."""
    kinds: dict[str, list[Path]] = {}
    places = folders(image_folder(root)) if root.is_dir() else []
    for place in [*places, *(below for above in places for below in folders(above))]:
        match = OBJECT.fullmatch(place.name)
        if match and f"{place.name}-{view}" in pictures_in(place):
            kinds.setdefault(match["kind"], []).append(place)
    return kinds


def _sound(thing: Path, split: str, cameras: Sequence[str]) -> list[_Plan]:
    """One object in all its turns."""
    plans = []
    for turn in range(len(cameras) - 1):
        faces = tuple((thing, view) for view in _turned(cameras, turn))
        plans.append(_Plan(f"{split}_OK_{thing.name}_{turn}", split, "OK", faces))
    return plans


def _turned(cameras: Sequence[str], turn: int) -> list[str]:
    """The views that stand in the cameras' places after some turns of the table.

    Example:
        >>> _turned(("above", "front", "right", "back"), 1)
        ['above', 'right', 'back', 'front']
    """
    above, *sides = cameras
    return [above, *sides[turn:], *sides[:turn]]


def _misfits(sound: list[_Plan], held: dict[str, list[Path]]) -> list[_Plan]:
    """Every sound test sample once more, with one side of an object of another kind."""
    draw, plans = random.Random(0), []
    for plan in (plan for plan in sound if plan.split == "test"):
        faces = list(plan.faces)
        side = draw.randrange(1, len(faces))
        thing, view = faces[side]
        stranger = draw.choice([x for there in held.values() if thing not in there for x in there])
        faces[side] = (stranger, view)
        name = plan.name.replace("_OK_", "_misfit_", 1)
        plans.append(replace(plan, name=name, code="misfit", faces=tuple(faces), strange=(side,)))
    return plans


def _others(category: str, held: dict[str, list[Path]], cameras: Sequence[str]) -> list[_Plan]:
    """The held-out objects of all other kinds, strange in every view."""
    every = tuple(range(len(cameras)))
    return [
        _Plan(f"test_{kind}_{thing.name}", "test", kind, tuple((thing, v) for v in cameras), every)
        for kind in held
        if kind != category
        for thing in held[kind]
    ]


def _arrange(place: Path, cameras: Sequence[str], plan: _Plan) -> Found:
    """Copy the views of one sample under their own names, and make masks of the strange ones."""
    found = Found(place, plan.name, plan.split, plan.code, {}, {})
    for number, (camera, (thing, view)) in enumerate(zip(cameras, plan.faces, strict=True)):
        stem = f"{thing.name}-{view}"
        image = _there(thing, stem)
        found.images[camera] = place / f"{stem}.png"
        if not is_made(found.images[camera], image):
            save_view(read_image(image), found.images[camera], image)
        if number in plan.strange:
            shape = _there(folder_in(thing, "maps") or thing / "maps", f"{stem}-map")
            found.masks[camera] = place / f"{stem}_mask.png"
            if not is_made(found.masks[camera], shape):
                white = marked(shape, image)
                if (white[[0, 0, -1, -1], [0, -1, 0, -1]] > 0).sum() > 2:
                    raise Fault(f"{shape}: expected the object white on black; invert it", "label")
                save_view(white, found.masks[camera], shape)
    return found


def _there(place: Path, stem: str) -> Path:
    path = pictures_in(place).get(stem)
    if path is None:
        raise Fault(f"{place / stem}.png does not exist; unpack the set again", "missing file")
    return path
