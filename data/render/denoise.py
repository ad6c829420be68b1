"""Take the grain of few light paths out of a picture, led by buffers that have no grain.

Each pixel becomes a mean of its neighbours, weighted by how alike the renderer's own buffers
(piece, normal, colour, roughness, slope of the relief) say the two places are: a joint bilateral
filter. Edges, print and scratches stay; only light that is the same anyway is averaged.
"""

import numpy as np

REACH = 3  # pixels
BRIGHTNESS = 0.35  # relative difference of light that halves a neighbour's say


def look_up(atlas, uv):
    """Values (..., C) of an atlas (rows, columns, C) at atlas positions uv (..., 2) in 0..1."""
    rows, columns = atlas.shape[:2]
    column = np.clip((uv[..., 0] * columns).astype(int), 0, columns - 1)
    row = np.clip((uv[..., 1] * rows).astype(int), 0, rows - 1)
    return atlas[row, column]


def layers(skin):
    """Atlas (2T, 3T, 6) of what tells places of a skin apart, scaled as in ``guide``."""
    slope = np.moveaxis(skin.slope(), 0, -1) / 0.15
    return np.concatenate(
        [skin.colour / 0.08, skin.roughness[..., None] / 0.15, slope], -1, dtype="f4"
    )


def guide(atlases, buffers):
    """What tells places apart, (H, W, 10), scaled so that a difference of 1 matters.

    ``atlases`` holds ``layers(skin)`` of every piece.
    """
    surface = np.zeros((*buffers["piece"].shape, 6), "f4")
    for k, atlas in enumerate(atlases):
        on = buffers["piece"] == k
        surface[on] = look_up(atlas, buffers["uv"][on])
    piece = 3.0 * buffers["piece"][..., None]
    return np.concatenate([piece, buffers["normal"] / 0.15, surface], -1)


def overlap(down, right, shape):
    """Slices of the places p and p + (down, right) for which both lie in the picture."""
    here, there = [], []
    for step, size in zip((down, right), shape, strict=True):
        here.append(slice(max(0, -step), size - max(0, step)))
        there.append(slice(max(0, step), size - max(0, -step)))
    return tuple(here), tuple(there)


def denoise(linear, guides):
    """The picture (H, W, 3), linear light, without its grain; ``guides`` (H, W, G)."""
    level = np.log(linear.mean(-1, keepdims=True) + 0.01) / BRIGHTNESS
    # channels first, so that the sums over channels run over whole planes
    features = np.ascontiguousarray(np.concatenate([guides, level], -1).transpose(2, 0, 1), "f4")
    light = np.ascontiguousarray(linear.transpose(2, 0, 1), "f4")
    total, weights = light.copy(), np.ones_like(light[0])
    for down in range(REACH + 1):
        for right in range(-REACH, REACH + 1):
            if (down, right) <= (0, 0):  # each pair of places once: it counts for both
                continue
            here, there = overlap(down, right, weights.shape)
            distance = np.zeros_like(weights[here])
            for plane in features:
                difference = plane[there] - plane[here]
                difference *= difference
                distance += difference
            weight = np.exp(-0.5 * distance)
            for place, other in ((here, there), (there, here)):
                weights[place] += weight
                for channel in range(3):
                    total[channel][place] += weight * light[channel][other]
    return np.moveaxis(total / weights, 0, -1)
