"""Ground truth: where the buffers show a misfit, or differ from those of the sound twin."""

import numpy as np
from denoise import look_up
from scipy import ndimage

DEPTH, TURN = 0.06, np.cos(np.radians(7))  # mm, cosine of degrees between normals
COLOUR, ROUGHNESS, SLOPE = 0.02, 0.05, 0.06  # linear RGB, 0..1, mm per mm
RAYS, VOTES = 4, 2  # rays a pixel, and how many of them must differ
SPECK = 6  # pixels; smaller islands of a mask are dropped
FEWEST = 10  # pixels; a view with fewer does not show the defect


def changed_texels(skin, twin):
    """Texels (2T, 3T) whose colour, roughness or slope differ between two skins."""
    colour = np.abs(skin.colour - twin.colour).max(-1) > COLOUR
    roughness = np.abs(skin.roughness - twin.roughness) > ROUGHNESS
    slope = np.abs(skin.slope() - twin.slope()).max(0) > SLOPE
    return colour | roughness | slope


def changed_skins(studio, twin):
    """The pieces that were painted differently: a dict of name -> changed texels."""
    others = {piece.name: piece.skin for piece in twin.pieces}
    return {
        piece.name: changed_texels(piece.skin, others[piece.name])
        for piece in studio.pieces
        if piece.name in others and others[piece.name] is not piece.skin
    }


def differs(studio, twin, texels, number):
    """Pixels (SIZE, SIZE), bool, at which camera ``number`` sees the difference.

    ``texels`` are those of ``changed_skins(studio, twin)``.
    """
    names = sorted({piece.name for piece in [*studio.pieces, *twin.pieces]})
    votes = 0
    for seed in range(RAYS):
        here, there = studio.measure(number, seed), twin.measure(number, seed)
        label = [
            np.array([names.index(p.name) for p in who.pieces] + [-1])[buffers["piece"]]
            for who, buffers in ((studio, here), (twin, there))
        ]
        part = (label[0] >= 0) | (label[1] >= 0)
        unlike = label[0] != label[1]
        unlike |= np.abs(here["depth"] - there["depth"]) > DEPTH
        unlike |= (here["face"] * there["face"]).sum(-1) < TURN
        for name, map_ in texels.items():
            on = label[0] == names.index(name)
            unlike |= on & look_up(map_, here["uv"])
        votes = votes + (part & unlike)
    return without_specks(votes >= VOTES)


def does_not_fit(studio, number):
    """Pixels (SIZE, SIZE), bool, at which camera ``number`` sees a piece that does not fit."""
    wrong = [k for k, piece in enumerate(studio.pieces) if not piece.fits]
    votes = sum(np.isin(studio.measure(number, seed)["piece"], wrong) for seed in range(RAYS))
    return without_specks(votes >= VOTES)


def without_specks(mask):
    """The mask without its smallest islands: edges that the two meshes cut a little differently."""
    islands, _ = ndimage.label(mask, np.ones((3, 3)))
    large = np.bincount(islands.ravel()) >= SPECK
    large[0] = False
    return large[islands]


def object_mask(studio, number):
    """Pixels (SIZE, SIZE), bool, in which camera ``number`` sees the part."""
    return sum(studio.measure(number, s)["piece"] >= 0 for s in range(RAYS)) >= VOTES
