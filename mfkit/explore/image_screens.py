"""The panels that are sheets of images: maps, one view, the terms of the score, the way back.

All are functions of a `mfkit.explore.scene.Scene`.
"""

from mfkit import escape
from mfkit.explore.screen import Area
from mfkit.explore.sheets import Bar, Sheet, coloured

__all__ = [
    "maps",
    "maps_words",
    "terms",
    "terms_words",
    "tiles",
    "view",
    "view_areas",
    "view_words",
    "way_back",
    "way_back_words",
]


def maps(scene) -> Sheet:
    """Pictures or maps of all views, before and after a change, by one model or two."""
    kind, rows, frames = scene.kind(), [], []
    names = [name for name, _ in scene.both()]
    if kind == "change":
        rows.append(("pictures", scene.pictures()))
        frames = range(1 + len(names))
        for name in names if scene.changed() else names[:1]:
            now, then = (
                (scene.asked(name), scene.asked(name, whole=True))
                if scene.changed()
                else (scene.asked(name), scene.asked(scene.other))
            )
            values = scene.latents.ask(now).map - scene.latents.ask(then).map
            rows.append((name, scene.overlays(kind, values, now)))
    else:
        asked = [(name, scene.asked(name)) for name in names]
        if scene.changed():
            asked.insert(0, ("before", scene.asked(scene.model, whole=True)))
        elif not scene.other:
            rows.append(("pictures", scene.pictures()))
        for name, question in asked:
            rows.append((name, scene.overlays(kind, scene.values(kind, question), question)))
        frames = range(int(scene.changed()), len(rows))
    bars = [scene.bar(kind)]
    return Sheet(rows, scene.titles(), bars, scene.mark(), scene.frames(frames))


def tiles(scene) -> list[Area]:
    """The images of a sheet: each chooses its view, and the position that is clicked on."""
    sheet, grid, names = scene.drawing, tuple(scene.latents.shape[2:]), scene.latents.names
    return [
        Area(("view", view), f"{names[view]}, {row}", sheet.box(place, view), grid)
        for place, (row, _) in enumerate(sheet.rows)
        for view in range(len(names))
    ]


def maps_words(scene) -> str:
    """What the outlines and colours mean."""
    kind = scene.kind()
    said = {
        "score": "Above each view: its image score.",
        "change": f"{'Now minus before' if scene.changed() else f'Minus {scene.other}'}: "
        "red is less likely, blue more.",
        "agreement": "Red does not fit what the other views say; blue fits better than usual."
        if scene.latents.agrees(scene.question) is not None
        else "No message arrives, so nothing is known about agreement.",
    }[kind]
    if kind != scene.state["map"]:
        said = "Nothing is changed or compared, so the scores are shown. " + said
    return _outlines(scene, kind) + escape.html(said)


def _outlines(scene, kind: str) -> str:
    edges = ["yellow: above the threshold"] if kind == "score" else []
    edges += ["cyan: the true defect"] if scene.state["truth"] else []
    edges += ["grey: the object"] if scene.shows_object() else []
    edges += ["purple frame: from another part"] if scene.question.swapped else []
    return f"Outlined {'; '.join(edges)}. " if edges else ""


def view(scene) -> Sheet:
    """One view, enlarged: its picture and its map."""
    kind, view = scene.kind(), scene.view
    kind = "score" if kind == "change" else kind  # a difference is shown by the panel of all views
    values = scene.values(kind, scene.question)
    (seen,) = scene.overlays(kind, values, scene.question, [view])
    titles = [f"{scene.latents.names[view]}, picture", f"{scene.latents.names[view]}, {kind}"]
    row = ("", [scene.pictures()[view], seen])
    mark = (*scene.mark()[:2], 1)
    return Sheet([row], titles, [scene.bar(kind)], mark, largest=3.5)


def view_words(scene) -> str:
    """The view's score, and what the outlines mean."""
    score = scene.titles()[scene.view]
    return f"{escape.html(score)}: the highest position. {_outlines(scene, 'score')}"


def view_areas(scene) -> list[Area]:
    """Both images choose a position."""
    sheet, name = scene.drawing, scene.latents.names[scene.view]
    grid = tuple(scene.latents.shape[2:])
    return [Area(("view", scene.view), f"{name}, {c}", sheet.box(0, c), grid) for c in (0, 1)]


def terms(scene) -> Sheet:
    """The score taken apart: half the squared norm, minus the log-determinant, their sum."""
    names = ("half squared norm", "- log-determinant", "= score")
    answer, limits = scene.answer, scene.latents.limits
    parts = (answer.half, -answer.log_det, answer.nll)
    bars = [Bar("nats / channel", limits[name]) for name in ("half", "log_det", "nll")]
    rows = [
        (name, list(coloured(values, bar)))
        for name, values, bar in zip(names, parts, bars, strict=True)
    ]
    return Sheet(rows, scene.titles(), bars, scene.mark())


def terms_words(scene) -> str:
    """The formula with the numbers of the position."""
    parts = ("half", "log_det", "nll")
    half, log_det, nll = (getattr(scene.answer, part)[scene.at()] for part in parts)
    return (
        f"{scene.place()}: |z|² / 2C - logdet / C = {half:.3f} - ({log_det:.3f}) "
        f"= <b>{nll:.3f}</b> nats per channel"
    )


def way_back(scene) -> Sheet:
    """The sample, what came back, and where it went."""
    latents, views = scene.latents, range(len(scene.sources))
    rows = [("this sample", [latents.picture(s, v) for v, s in enumerate(scene.sources)])]
    if latents.patches is not None:
        x = scene.back().x
        rows.append(("came back", [scene.drawn(x[view], view) for view in views]))
    if scene.state["fraction"]:
        end = [latents.picture(scene.state["towards"], view) for view in views]
        rows.append(("other sample", end))
    return Sheet(rows, latents.names)


def way_back_words(scene) -> str:
    """What came back, and what a draw is."""
    back = scene.back()
    said = (
        f"What came back has the score <b>{back.score:.3f}</b> (mean {back.mean:.3f}); largest "
        f"difference to the features of the sample: {back.error:.1g}. It is drawn with the "
        "nearest training patches."
    )
    if scene.state["draw"]:
        there = scene.answer.present
        real = float((scene.answer.z[there].astype("f4") ** 2).mean())
        said += (
            f" Drawn, not photographed: the mean square of its latents is "
            f"{scene.state['temperature'] ** 2:.2f}, that of this part {real:.2f}, whose mean "
            f"score is {scene.answer.nll[there].mean():.3f}. Real parts lie further out, by what "
            "the flow could not explain, so a draw looks emptier. Whether it also scores lower is "
            "up to the log-determinant: how sure the flow is of such features. Lower is not "
            "better: sound parts have scores in a range (the typical set)."
        )
    return said
