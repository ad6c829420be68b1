"""What a model has to know about pictures before it can score new ones: `model.json`.

`model.pt` takes features. Beside it lies what leads from pictures to features and from scores to a
verdict, so that a folder with these two files is enough by itself.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from mfkit import plot
from mfkit.data import Category, DataSet, Sample, camera_names, is_grey
from mfkit.errors import InputError
from mfkit.experiment.evaluation import Scored
from mfkit.experiment.run_folder import CategoryFolder
from mfkit.experiment.settings import Preset
from mfkit.features import Backbone
from mfkit.files import whole_file
from mfkit.score import Usual, sample_scores

__all__ = ["Camera", "Description", "HeldOut", "describe", "look_at", "weights_digest"]

FORMAT = 1
"""Counted up when `model.json` changes so that older versions of mfkit would misread it."""
LOOKED_AT = 32  # training samples, spread over all, that say how the pictures of a camera look


@dataclass(frozen=True)
class Camera:
    """One view of a model, and how its pictures look.

    Attributes:
        number: as in names of files, from 1.
        name: what its pictures may be called, such as "top" or "C1".
        flip: are its pictures mirrored before they are used?
        size: width and height in px of its training pictures; None if they had several.
        grey: are its training pictures grey (True), in colour (False), or some of each (None)?
    """

    number: int
    name: str
    flip: bool
    size: tuple[int, int] | None = None
    grey: bool | None = None


@dataclass(frozen=True)
class HeldOut:
    """What sound samples score that training has not seen: the measure of what is usual.

    Attributes:
        samples: their M names.
        images: (M, V) image scores in nats per channel, NaN where a view was absent.
        agreement: the same by agreement; None where the model does not know it.
    """

    samples: tuple[str, ...]
    images: Tensor
    agreement: Tensor | None = None

    @classmethod
    def of(cls, samples: Sequence[Sample], scored: Scored) -> Self:
        """The scores of samples that were held out."""
        agreement = None if scored.agreement is None else scored.agreement.images
        return cls(tuple(sample.name for sample in samples), scored.scores.images, agreement)

    def both(self, present: Tensor | None = None) -> Tensor:
        """(M, K): sample scores by likelihood and, if known, by agreement.

        Arguments:
            present: (V,) of bool, the views that count; None: all do. Samples that have none of
                these views are left out.
        """
        shown = torch.ones(self.images.shape[1:], dtype=torch.bool) if present is None else present
        there = ~self.images.isnan() & shown
        some = there.any(1)
        parts = [sample_scores(self.images[some], present=there[some])]
        if self.agreement is not None:
            parts.append(sample_scores(self.agreement[some], present=there[some]))
        return torch.stack(parts, 1)


@dataclass(frozen=True)
class Description:
    """The contents of `model.json`.

    Attributes:
        category: what the model was trained on.
        backbone: a name of `mfkit.features.BACKBONES`.
        backbone_digest: of its weights, see `Backbone.fingerprint`.
        size: px; pictures are resized to size x size for the backbone.
        weights: a digest of the `model.pt` that lies beside.
        foreground: which positions count, see `mfkit.features.load_masks`; "files" for masks that
            were given in files.
        amp: see `mfkit.Training`.
        missing_views: may samples lack views?
        usual: what agreement is measured with; None: the model does not know agreement.
        cameras: V of them, in the order of the views.
        scale: (low, high) in nats per channel, between which maps are drawn.
        held_out: None where no sample was held out.
        mfkit: the version that wrote the file.
    """

    category: str
    backbone: str
    backbone_digest: str
    size: int
    weights: str
    foreground: str
    amp: str | None
    missing_views: bool
    usual: Usual | None
    cameras: tuple[Camera, ...]
    scale: tuple[float, float]
    held_out: HeldOut | None
    mfkit: str = version("mfkit")

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        held = self.held_out and {
            "samples": list(self.held_out.samples),
            "images": _numbers(self.held_out.images),
            "agreement": _numbers(self.held_out.agreement),
        }
        cameras = [asdict(camera) for camera in self.cameras]
        usual = self.usual and {name: part.tolist() for name, part in self.usual._asdict().items()}
        table = {"format": FORMAT, **vars(self)}
        table |= {"cameras": cameras, "held_out": held, "usual": usual}
        with whole_file(path) as draft:
            draft.write_text(json.dumps(table, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read the file.

        Raises:
            InputError: there is none, it is damaged, or another version of mfkit wrote it.
        """
        try:
            table = json.loads(Path(path).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"{path} does not exist, so pictures cannot be scored: give the folder that "
                "python -m mfkit run leaves for a category (OUT/NAME). If that folder holds "
                "model.pt, an older mfkit made it: delete OUT/results.json and type its command "
                "again; what is trained is not trained again"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path} is damaged ({error}): copy it again, or run again") from None
        found = table.pop("format", None) if isinstance(table, dict) else None
        if type(found) is int and found != FORMAT:
            raise InputError(
                f"{path} was written by mfkit {table.get('mfkit')} in format {found}, this is "
                f"mfkit {version('mfkit')}, which reads format {FORMAT}: install the other "
                "version, or train the model again"
            )
        try:
            return cls._from(table) if found == FORMAT else _damaged()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path} is no description of a model ({type(error).__name__}: {error}): copy it "
                "again, or run again"
            ) from None

    @classmethod
    def _from(cls, table: dict) -> Self:
        cameras = tuple(
            Camera(**{**camera, "size": camera["size"] and tuple(camera["size"])})
            for camera in table["cameras"]
        )
        low, high = map(float, table["scale"])
        held = table["held_out"]
        if held is not None:
            held = HeldOut(
                tuple(held["samples"]),
                _tensor(held["images"], len(cameras)),
                None if held["agreement"] is None else _tensor(held["agreement"], len(cameras)),
            )
            if any(
                part is not None and len(part) != len(held.samples)
                for part in (held.images, held.agreement)
            ):
                raise ValueError("not as many held-out scores as samples")
        usual = table["usual"]
        if usual is not None:
            usual = Usual(torch.tensor(usual["mean"]), torch.tensor(usual["spread"]))
            if not usual.mean.shape == usual.spread.shape or len(usual.mean) != len(cameras):
                raise ValueError("agreement of another number of cameras or positions")
        read = {"usual": usual}
        return cls(**{**table, **read, "cameras": cameras, "scale": (low, high), "held_out": held})


def describe(
    folder: CategoryFolder,
    category: Category,
    data: DataSet,
    settings: Preset,
    backbone: Backbone,
    usual: Usual | None,
    test: Scored,
    held_out: HeldOut | None,
) -> None:
    """Note what a model that has been trained has to know to score new pictures.

    Arguments:
        folder: that holds its weights; `model.json` is written beside them.
        category, data, settings, backbone: what it was trained on, and how.
        usual: what agreement is measured with, if it knows agreement.
        test: what it makes of the test split.
        held_out: what samples score that no part of it has seen, if any were held out.
    """
    masks = settings.foreground
    made = masks.partition(":")[0] in ("none", "border", "rembg")
    names = camera_names(data.file(category.name), category.cameras)
    description = Description(
        category=category.name,
        backbone=settings.backbone,
        backbone_digest=backbone.fingerprint(),
        size=backbone.size,
        weights=weights_digest(folder.model),
        foreground=masks if made else "files",
        amp=settings.training.amp,
        missing_views=data.allows_missing or settings.training.view_dropout > 0,
        usual=usual,
        cameras=look_at(category.train, names),
        scale=plot.map_scale(test.scores.maps),
        held_out=held_out,
    )
    description.write(folder.description)


def look_at(samples: Sequence[Sample], names: Sequence[str]) -> tuple[Camera, ...]:
    """Look at some training samples, spread over all: what do pictures of each camera look like?

    Arguments:
        samples: of the training split.
        names: of the V cameras.
    """
    every = -(-len(samples) // LOOKED_AT)
    first = samples[0]
    sizes: list[set] = [set() for _ in names]
    greys: list[set] = [set() for _ in names]
    for sample in samples[::every]:
        for view in range(len(names)):
            if (image := sample.image(view)) is not None:
                sizes[view].add(image.shape[1::-1])
                greys[view].add(is_grey(image))
    return tuple(
        Camera(
            number,
            name,
            flip,
            size.pop() if len(size) == 1 else None,
            grey.pop() if len(grey) == 1 else None,
        )
        for number, name, flip, size, grey in zip(
            first.cameras, names, first.flips, sizes, greys, strict=True
        )
    )


def weights_digest(path: str | Path) -> str:
    """A digest of a file of weights."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged() -> None:
    raise ValueError("it names no format")


def _numbers(values: Tensor | None) -> list[list[float | None]] | None:
    """Rows of numbers for JSON, which knows no NaN."""
    if values is None:
        return None
    return [[None if value != value else value for value in row] for row in values.tolist()]


def _tensor(rows: list[list[float | None]], views: int) -> Tensor:
    if any(len(row) != views for row in rows):
        raise ValueError(f"held-out scores of another number of cameras than {views}")
    values = [[float("nan") if value is None else float(value) for value in row] for row in rows]
    return torch.tensor(values).reshape(-1, views)
