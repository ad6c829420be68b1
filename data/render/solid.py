"""Shapes: solids in millimetres (z up) and the triangles that the renderer wants.

A solid is a ``manifold3d.Manifold``, so ``a - b`` drills, ``a + b`` joins. This file adds the few
shapes that all three categories need, and turns a solid into vertices, normals and atlas positions.
"""

import numpy as np
from manifold3d import CrossSection, JoinType, Manifold
from scipy import sparse
from skin import AXES

SEGMENTS = 48  # corners of a full circle


def rectangle(width, depth, radius):
    """A rectangle (mm) around the origin with rounded corners, as a cross section."""
    core = CrossSection.square((width - 2 * radius, depth - 2 * radius), True)
    return core.offset(radius, JoinType.Round, 2.0, SEGMENTS)


def disc(radius):
    """A disc (mm) around the origin, as a cross section."""
    return CrossSection.circle(radius, SEGMENTS)


def slab(section, bottom, top, chamfer=0.0):
    """Extrude a *convex* section from z=bottom to z=top (mm), upper and lower edge chamfered."""
    if chamfer == 0:
        return section.extrude(top - bottom).translate((0, 0, bottom))
    inner = section.offset(-chamfer, JoinType.Round, 2.0, SEGMENTS)
    full = section.extrude(top - bottom - 2 * chamfer).translate((0, 0, bottom + chamfer))
    tall = inner.extrude(top - bottom).translate((0, 0, bottom))
    return Manifold.batch_hull([full, tall])


def lathe(profile):
    """Turn a closed profile of (radius, z) points (mm) about the z axis."""
    return CrossSection([np.asarray(profile, float)]).revolve(96)


def stone(radius, rng, points=26, flat=1.0):
    """A random convex lump of about ``radius`` mm; it breaks edges and lies about as a splinter."""
    directions = rng.normal(size=(points, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    cloud = directions * radius * rng.uniform(0.8, 1.15, (points, 1))
    return Manifold.hull_points(cloud * (1, 1, flat))


def facing(direction):
    """Degrees for ``Manifold.rotate`` that turn the z axis towards an atlas direction."""
    return {
        "+z": (0, 0, 0),
        "-z": (180, 0, 0),
        "+x": (0, 90, 0),
        "-x": (0, -90, 0),
        "+y": (-90, 0, 0),
        "-y": (90, 0, 0),
    }[direction]


def triangles(solid):
    """Vertices (N, 3) in mm and triangles (T, 3) of a solid."""
    mesh = solid.to_mesh()
    return np.asarray(mesh.vert_properties, float)[:, :3], np.asarray(mesh.tri_verts)


def corner_normals(vertices, faces, crease=32.0):
    """One normal per triangle corner: smooth across edges flatter than ``crease`` degrees.

    Returns:
        (T, 3, 3): the area-weighted mean over the triangles that share the vertex and do not turn
        away from this triangle by more than the crease angle.
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    unit = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-12)
    count = len(faces)
    corner_of = sparse.csr_matrix(
        (np.ones(3 * count), (np.arange(3 * count), faces.ravel())), (3 * count, len(vertices))
    )
    face_of = sparse.csr_matrix(
        (np.ones(3 * count), (faces.ravel(), np.repeat(np.arange(count), 3))),
        (len(vertices), count),
    )
    pairs = (corner_of @ face_of).tocoo()
    own = pairs.row // 3
    keep = (unit[own] * unit[pairs.col]).sum(1) > np.cos(np.radians(crease))
    mixer = sparse.csr_matrix(
        (np.ones(keep.sum()), (pairs.row[keep], pairs.col[keep])), (3 * count, count)
    )
    normals = mixer @ area
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 1e-9, normals / np.maximum(length, 1e-12), np.repeat(unit, 3, 0))
    return normals.reshape(count, 3, 3)


def surface_point(solid, direction, a, b, centre):
    """The outermost point of a solid at atlas position (a, b) mm, seen from ``direction``.

    Returns:
        The point (3,) in mm, or None where a ray along the direction misses the solid.
    """
    right, up, out = (np.array(v, float) for v in AXES[direction])
    start = np.asarray(centre) + a * right + b * up + 500 * out
    hits = solid.ray_cast(tuple(start), tuple(start - 1000 * out))
    if not hits:
        return None
    return np.asarray(min(hits, key=lambda hit: hit.distance).position)
