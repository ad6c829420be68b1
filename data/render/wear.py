"""What every used surface has: mottling, dust, hairlines, brushing. None of it is a defect."""

import numpy as np
from skin import DIRECTIONS, noise, strokes


def mottle(skin, rng, strength):
    """Uneven colour: relative ``strength``, in clouds of a few mm, and uneven gloss."""
    cloud = noise(rng, skin.relief.shape, 2.5 / (skin.span / skin.texels))
    skin.colour *= np.clip(1 + strength * cloud, 0.5, 1.5)[..., None]
    skin.roughness += (
        0.5 * strength * noise(rng, skin.relief.shape, 1.5 / (skin.span / skin.texels))
    )


def dust(skin, rng, count):
    """``count`` specks of pale dust, 0.1 to 0.3 mm, mostly on top."""
    specks = {}
    for _ in range(count):
        side = "+z" if rng.random() < 0.6 else str(rng.choice(DIRECTIONS[2:]))
        at = rng.uniform(-0.5, 0.5, 2) * skin.span
        line = [at, at + rng.normal(size=2) * 0.25]
        specks.setdefault(side, []).append((line, rng.uniform(0.1, 0.28), rng.uniform(0.15, 0.5)))
    for side, lines in specks.items():
        skin.blend(side, strokes(skin, lines), (0.55, 0.55, 0.52), 0.9)


def hairlines(skin, rng, count):
    """``count`` hairline scratches, fainter and finer than any scratch that is a defect."""
    lines = {}
    for _ in range(count):
        side = str(rng.choice(["+z", *DIRECTIONS[2:]]))
        at = rng.uniform(-0.45, 0.45, 2) * skin.span
        angle, length = rng.uniform(0, np.pi), rng.uniform(0.03, 0.14) * skin.span
        end = at + length * np.array([np.cos(angle), np.sin(angle)])
        lines.setdefault(side, []).append(([at, end], 0.16, rng.uniform(0.06, 0.2)))
    for side, group in lines.items():
        skin.blend(side, strokes(skin, group), (0.6, 0.6, 0.6), 0.6)


def brush(skin, rng, strength):
    """Brushing marks: streaks along a of every tile, in gloss, tone and relief."""
    streaks = noise(rng, skin.relief.shape, (0.6, 24))
    skin.roughness += strength * streaks
    skin.colour *= (1 + 0.6 * strength * streaks)[..., None]
    skin.relief += 0.02 * strength * skin.span / 48 * streaks


def turned(skin, rng, strength, side="+z"):
    """Lathe marks: fine rings around the middle of one tile, in gloss, tone and relief."""
    a, b = skin.grid()
    rings = noise(rng, skin.texels, 0.7)
    value = rings[
        np.clip(np.hypot(a, b) / skin.span * 1.4 * skin.texels, 0, skin.texels - 1).astype(int)
    ]
    where = skin.tile(side)
    skin.roughness[where] += strength * value
    skin.colour[where] *= (1 + 0.6 * strength * value)[..., None]
    skin.relief[where] += 0.03 * strength * skin.span / 48 * value
