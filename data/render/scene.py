"""Photograph and measure: five cameras, the light, the picture, the buffers.

All lengths in mm. The part stands on a dark ground (z = 0) around the origin. Camera 1 looks
down, cameras 2..5 stand in front (-y), right (+x), behind (+y) and left (-x) and look down at 36
degrees.
"""

import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property

import mitsuba as mi
import numpy as np
from denoise import denoise, guide, layers
from skin import Skin, atlas_positions
from solid import corner_normals, triangles

mi.set_variant("scalar_rgb")
SIZE = 256  # pixels along an image edge
CAMERAS = (1, 2, 3, 4, 5)
DISTANCE = 240.0  # mm, camera to the middle of the part
ELEVATION = 36.0  # degrees, of the side cameras


@dataclass
class Piece:
    """One solid with its skin: a body, a screw, a grain of dirt."""

    name: str
    solid: object
    skin: Skin
    place: tuple = (0.0, 0.0, 0.0)  # mm, where the solid's own origin lies in the part
    turn: float = 0.0  # degrees about its own z axis
    fits: bool = True  # does it go together with the other pieces?


@dataclass
class Rig:
    """What one sample's five photographs share: pose of the part and light.

    yaw in degrees, shift in mm; key, fill: strength of the lights; warmth -1..1; azimuth of the
    key light in degrees.
    """

    view: float  # mm, half the width that the cameras see
    height: float  # mm, the point the cameras look at
    yaw: float = 0.0
    shift: tuple = (0.0, 0.0)
    key: float = 1.0
    fill: float = 1.0
    warmth: float = 0.0
    azimuth: float = 40.0
    ground: tuple = field(default=(0.016, 0.017, 0.020))


def draw_rig(rng, view, height, yaw=5.0):
    """A rig like those of the other samples, but its own."""
    return Rig(
        view, height, rng.uniform(-yaw, yaw), tuple(rng.uniform(-0.8, 0.8, 2)),
        rng.uniform(0.82, 1.2), rng.uniform(0.8, 1.2), rng.uniform(-1, 1), rng.uniform(20, 70),
    )  # fmt: skip


def camera(number, rig, samples):
    """Mitsuba's description of camera 1..5."""
    target = np.array([0.0, 0.0, rig.height])
    if number == 1:
        origin, up = target + np.array([0, 0, DISTANCE]), (0, 1, 0)
    else:
        angle, tilt = np.radians(-90 + 90 * (number - 2)), np.radians(ELEVATION)
        away = (np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt), np.sin(tilt))
        origin, up = target + DISTANCE * np.array(away), (0, 0, 1)
    return {
        "type": "perspective",
        "fov": float(2 * np.degrees(np.arctan(rig.view / DISTANCE))),
        "to_world": mi.ScalarTransform4f().look_at(
            origin=origin.tolist(), target=target.tolist(), up=list(up)
        ),
        "film": {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "gaussian"}},
        "sampler": {"type": "multijitter", "sample_count": samples},
    }


def softbox(azimuth, elevation, distance, width, height, colour):
    """A rectangular light of width x height mm that shines at the origin."""
    turn, tilt = np.radians(azimuth), np.radians(elevation)
    away = np.array([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)])
    transform = mi.ScalarTransform4f()
    return {
        "type": "rectangle",
        "to_world": transform.look_at(
            origin=(distance * away).tolist(), target=[0, 0, 0], up=[0, 0.1, 1]
        )
        @ transform.scale([width / 2, height / 2, 1]),
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": list(map(float, colour))}},
    }


def material(skin):
    """Mitsuba's description of a skin."""

    def texture(array):
        return {"type": "bitmap", "bitmap": mi.Bitmap(array.astype(np.float32)), "raw": True}

    surface = {
        "type": "principled",
        "base_color": texture(np.clip(skin.colour, 0.003, 0.95)),
        "roughness": texture(np.clip(skin.roughness, 0.04, 1.0)),
        "metallic": skin.metallic,
        "specular": skin.specular,
    }
    if skin.clearcoat:
        surface |= {"clearcoat": skin.clearcoat, "clearcoat_gloss": 0.95}
    if np.any(skin.relief):
        surface = {"type": "bumpmap", "bsdf": surface, "relief": texture(skin.relief)}
    return surface


def ply(piece, label):
    """The piece as a PLY file (bytes): position, normal and atlas position of every corner.

    ``label`` (1, 2, ...) is added to u. Textures repeat, so this changes no picture, and the buffer
    of atlas positions then also says which piece a pixel shows.
    """
    vertices, faces = triangles(piece.solid)
    points = vertices[faces]
    normals = corner_normals(vertices, faces)
    flat = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    positions = atlas_positions(points, flat, piece.skin) + np.array([label, 0])
    corners = np.concatenate([points, normals, positions], -1).reshape(-1, 8).astype("<f4")
    index = np.empty(len(faces), [("n", "u1"), ("v", "<i4", 3)])
    index["n"], index["v"] = 3, np.arange(3 * len(faces)).reshape(-1, 3)
    names = "".join(f"property float {n}\n" for n in ("x", "y", "z", "nx", "ny", "nz", "u", "v"))
    head = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(corners)}\n{names}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    return head.encode() + corners.tobytes() + index.tobytes()


class Studio:
    """A part under its light, ready to be photographed and measured."""

    def __init__(self, pieces, rig):
        self.pieces, self.rig = list(pieces), rig
        self.measured = {}  # what ``measure`` found: both the filter and the masks ask for it
        warm = np.array([1 + 0.06 * rig.warmth, 1.0, 1 - 0.08 * rig.warmth])
        at = mi.ScalarTransform4f()
        world = {
            "type": "scene",
            "ground": {
                "type": "rectangle",
                "to_world": at.scale([2000, 2000, 1]),
                "bsdf": {
                    "type": "diffuse",
                    "reflectance": {"type": "rgb", "value": list(rig.ground)},
                },
            },
            "sky": {
                "type": "constant",
                "radiance": {"type": "rgb", "value": float(0.42 * rig.fill)},
            },
            "key": softbox(rig.azimuth, 58, 330, 150, 150, 10.5 * rig.key * warm),
            "rim": softbox(rig.azimuth + 175, 35, 300, 160, 60, 5.0 * rig.fill / warm),
        }
        with tempfile.TemporaryDirectory() as folder:
            for label, piece in enumerate(self.pieces, 1):
                path = os.path.join(folder, piece.name + ".ply")
                with open(path, "wb") as file:
                    file.write(ply(piece, label))
                world[piece.name] = {
                    "type": "ply",
                    "filename": path,
                    "bsdf": material(piece.skin),
                    "to_world": at.translate([*rig.shift, 0])
                    @ at.rotate([0, 0, 1], rig.yaw)
                    @ at.translate(list(map(float, piece.place)))
                    @ at.rotate([0, 0, 1], piece.turn),
                }
            self.scene = mi.load_dict(world)

    @cached_property
    def atlases(self):
        """What the filter needs to know about the skins."""
        return [layers(piece.skin) for piece in self.pieces]

    def photograph(self, number, seed, samples=9):
        """The picture of camera 1..5: (SIZE, SIZE, 3) bytes, sRGB."""
        sensor = mi.load_dict(camera(number, self.rig, samples))
        integrator = mi.load_dict({"type": "path", "max_depth": 5})
        linear = np.array(mi.render(self.scene, sensor=sensor, integrator=integrator, seed=seed))
        buffers = [self.measure(number, ray) for ray in range(4)]
        guides = np.mean([guide(self.atlases, one) for one in buffers], 0)
        return develop(denoise(linear[..., :3], guides))

    def measure(self, number, seed=0):
        """Buffers of camera 1..5, one ray a pixel.

        Returns:
            dict of depth (mm), normal (3), uv (2), face (3): arrays (SIZE, SIZE, ...), and piece:
            index into ``self.pieces``, -1 for what is not the part. ``normal`` is that of the
            shading, which Mitsuba gives in another frame where a surface has relief; ``face`` is
            that of the triangle, with which shapes are compared.
        """
        if (number, seed) in self.measured:
            return self.measured[number, seed]
        description = camera(number, self.rig, 1)
        description["film"]["rfilter"] = {"type": "box"}
        integrator = mi.load_dict({"type": "aov", "aovs": "d:depth,n:sh_normal,t:uv,f:geo_normal"})
        raw = mi.render(
            self.scene, sensor=mi.load_dict(description), integrator=integrator, seed=seed
        )
        raw = np.array(raw)
        label = np.floor(raw[..., 4])
        self.measured[number, seed] = {
            "depth": raw[..., 0],
            "normal": raw[..., 1:4],
            "face": raw[..., 6:9],
            "uv": raw[..., 4:6] - np.stack([label, 0 * label], -1),
            "piece": label.astype(int) - 1,
        }
        return self.measured[number, seed]


def develop(linear):
    """Film response: linear light (..., 3) to sRGB bytes, with a soft shoulder above 0.7."""
    light = np.clip(linear, 0, None)
    light = np.where(light > 0.7, 0.7 + 0.3 * (1 - np.exp(-(light - 0.7) / 0.3)), light)
    curve = np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.clip(curve * 255 + 0.5, 0, 255).astype(np.uint8)
