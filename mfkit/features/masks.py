"""Masks of the object, one for each image: from a model, from a network, or from files."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from mfkit.data import (
    DataSet,
    Digests,
    Sample,
    digest_lines,
    former_images_fingerprint,
    images_fingerprint,
    read_mask,
    read_rows,
)
from mfkit.errors import InputError
from mfkit.features.border import MARGIN, SCALE, dilate, object_mask

__all__ = ["Masks", "load_masks"]


class Masks(ABC):
    """Where the masks of a data set come from.

    Attributes:
        name: a short one, part of the names of files.
        maker: says which masks these are, for fingerprints.
    """

    name: str
    maker: str

    @abstractmethod
    def __call__(self, sample: Sample, view: int) -> np.ndarray:
        """The mask of a view that is present: (h, w) of bool, of any size, as the flow sees it."""

    def fingerprint(self, samples: Sequence[Sample], digests: Digests | None = None) -> str:
        """A digest of everything that makes the masks of these samples."""
        return images_fingerprint(self.maker, samples, digests)

    def former_fingerprint(self, samples: Sequence[Sample]) -> str:
        """What `fingerprint` was while it knew files by place, size and time of change."""
        return former_images_fingerprint(self.maker, samples)


class BorderMasks(Masks):
    """The classical default for plain grounds: `object_mask`."""

    name = "border"
    maker = "border, version 1"  # count up when its masks change

    def __call__(self, sample: Sample, view: int) -> np.ndarray:
        return object_mask(sample.image(view, SCALE))


class NetworkMasks(Masks):
    """A deep segmenter of the package rembg, which downloads its weights at first use.

    Arguments:
        model: a name that rembg knows; "birefnet-general" solves the same task as the paper's
            MVANet, "isnet-general-use" is smaller.

    Raises:
        InputError: rembg is not installed.
    """

    def __init__(self, model: str = "birefnet-general"):
        try:
            import rembg
        except ModuleNotFoundError:
            raise InputError(
                "--foreground rembg needs the package rembg, which is not installed: "
                "pip install 'mfkit[foreground]', or use --foreground border"
            ) from None
        self.cut, self.session = rembg.remove, rembg.new_session(model)
        self.name, self.maker = f"rembg-{model}", f"rembg {model}"

    def __call__(self, sample: Sample, view: int) -> np.ndarray:
        image = Image.fromarray(sample.image(view))
        alpha = self.cut(image, session=self.session, only_mask=True)
        mask = np.asarray(alpha.convert("L").resize((SCALE, SCALE), Image.Resampling.BOX)) > 127
        return dilate(ndimage.binary_fill_holes(mask), MARGIN)


class FileMasks(Masks):
    """A folder that mirrors the images: `DIR/audiojack/OK/S0001/audiojack_0001_OK_C1_....png`.

    A mask has the name of its image and lies like the image on disk; it is mirrored with it. It is
    taken as it is: white above 127, neither filled nor dilated.
    """

    name = maker = "files"

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, sample: Sample, view: int) -> Path:
        """The mask's file of a view that is present."""
        image = sample.images[view]
        parents = [parent.name for parent in image.parents]
        if sample.category not in parents:
            raise InputError(
                f"{image}: no folder above it is called {sample.category}, so it is not clear "
                f"where in {self.folder} its mask lies; use --foreground border"
            )
        home = image.parents[parents.index(sample.category)]
        return (self.folder / sample.category / image.relative_to(home)).with_suffix(".png")

    def _there(self, samples: Sequence[Sample]) -> list[Path]:
        """The files that exist; reading the others will say what is wrong."""
        paths = (
            self.path(sample, view)
            for sample in samples
            for view, present in enumerate(sample.present)
            if present
        )
        return [path for path in paths if path.exists()]

    def fingerprint(self, samples: Sequence[Sample], digests: Digests | None = None) -> str:
        """A digest of the images and of all masks."""
        contents = (digests or Digests())(there := self._there(samples))
        masks = [f"{path.name} {contents[path]}" for path in there]
        return digest_lines([super().fingerprint(samples, digests), *masks])

    def former_fingerprint(self, samples: Sequence[Sample]) -> str:
        """The same of every mask's name, size and time of change."""
        digest = hashlib.sha256(super().former_fingerprint(samples).encode())
        for path in self._there(samples):
            status = path.stat()
            digest.update(os.fsencode(f"{path} {status.st_size} {status.st_mtime_ns}\n"))
        return digest.hexdigest()

    def __call__(self, sample: Sample, view: int) -> np.ndarray:
        return read_mask(self.path(sample, view), flip=sample.flips[view])


class StackMasks(Masks):
    """What the released code leaves: `DIR/audiojack/train.npy` and `test.npy`, (images, h, w).

    A mask for each row of the JSON file, in its order. The released code mirrors the images on disk
    before it makes them, so they already lie as the flow sees the views.

    Arguments:
        folder: DIR/audiojack.
        data, category: whose JSON file says which mask belongs to which image.

    Raises:
        InputError: a stack is missing, or has another number of masks than the file has rows.
    """

    name = maker = "stacks"

    def __init__(self, folder: Path, data: DataSet, category: str):
        self.place: dict[Path, tuple[np.ndarray, int]] = {}
        self.stacks, file = [], data.file(category)
        rows = read_rows(file, data.images)
        for split in ("train", "test"):
            path = folder / f"{split}.npy"
            try:
                stack = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise InputError(
                    f"{path}: cannot be read as a stack of masks ({error}); make it with the "
                    "released code, or use --foreground border"
                ) from None
            of_split = [row for row in rows if row.split == split]
            if stack.ndim != 3 or len(stack) != len(of_split):
                raise InputError(
                    f"{path}: holds an array {stack.shape}, but {file} lists {len(of_split)} "
                    f"{split} images: give the stack that was made from this file, (images, h, w)"
                )
            self.stacks.append(path)
            for number, row in enumerate(of_split):
                self.place[row.image] = stack, number

    def fingerprint(self, samples: Sequence[Sample], digests: Digests | None = None) -> str:
        """A digest of the images, of the stacks, and of which mask belongs to which image."""
        contents = (digests or Digests())(self.stacks)
        numbers = [self.place[image][1] for s in samples for image in s.images if image is not None]
        stacks = [contents[path] for path in self.stacks]
        return digest_lines([super().fingerprint(samples, digests), *stacks, str(numbers)])

    def former_fingerprint(self, samples: Sequence[Sample]) -> str:
        """The same of the stacks' places and times of change."""
        stamps = [f"{path.absolute()} {path.stat().st_mtime_ns}" for path in self.stacks]
        return former_images_fingerprint("\n".join([self.maker, *stamps]), samples)

    def __call__(self, sample: Sample, view: int) -> np.ndarray:
        stack, number = self.place[sample.images[view]]
        return np.asarray(stack[number]) > 0


def load_masks(source: str, data: DataSet, category: str) -> Masks | None:
    """The masks that `--foreground` names.

    Arguments:
        source: "none" (every position counts), "border", "rembg", "rembg:MODEL", or a folder of
            mask files or of released stacks.
        data: the data set.
        category: such as "audiojack".

    Raises:
        InputError: no such folder, a package is missing, or a stack does not fit.
    """
    kind, _, model = source.partition(":")
    if source == "none":
        return None
    if source == "border":
        return BorderMasks()
    if kind == "rembg":
        return NetworkMasks(model) if model else NetworkMasks()
    folder = Path(source) / category
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder of masks; --foreground should be none, border, rembg, or a "
            f"folder that holds {category}/ with .png masks or with train.npy and test.npy"
        )
    if any((folder / f"{split}.npy").exists() for split in ("train", "test")):
        return StackMasks(folder, data, category)
    return FileMasks(Path(source))
