"""Is it still the same data? Digests of the contents of images and masks, and of labels.

The same contents are the same data, wherever they lie and whenever they were copied there.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tqdm.auto import tqdm

from mfkit.data.listing import regular
from mfkit.data.sample import Category, Sample
from mfkit.errors import Fault
from mfkit.files import whole_file

__all__ = [
    "Digests",
    "data_fingerprint",
    "digest_lines",
    "former_data_fingerprints",
    "former_images_fingerprint",
    "images_fingerprint",
]

BLOCK = 64 * 2**20  # bytes that wait to be digested at a time, for the sake of an interruption


class Digests:
    """Digests of files' contents; what has been read once is remembered.

    A file is read again if its size, its time of change (mtime) or the time at which the file
    system last noted any change of it (ctime) differ by a nanosecond. What goes unnoticed is
    therefore only an edit that the file system itself does not note: one past it, on the bare disk,
    or one of the same size with both clocks set back.

    Arguments:
        root: where the files lie; they are remembered by their paths from there, so that a data set
            may move.
        memory: the file that remembers; None remembers nothing beyond this object. A damaged one is
            as good as none: everything is read again.
    """

    def __init__(self, root: str | Path = "", memory: str | Path | None = None):
        self.root, self.memory = os.path.abspath(root), memory and Path(memory)
        self._known: dict[str, tuple[int, int, int, str]] = self._remembered()

    def __call__(self, paths: Iterable[Path]) -> dict[Path, str]:
        """The digest of each file.

        Raises:
            InputError: a file is missing, cannot be read or is no regular file.
        """
        paths, states = list(dict.fromkeys(paths)), {}
        for path in paths:
            status = regular(path)
            states[path] = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        names = {path: os.path.relpath(path, self.root) for path in paths}
        new = [
            path for path in paths if tuple(self._known.get(names[path], ())[:3]) != states[path]
        ]
        if new:
            try:
                self._read(new, names, states)
            finally:  # an interruption does not lose what has been read
                self._remember()
        return {path: self._known[names[path]][3] for path in paths}

    def _read(self, paths: Sequence[Path], names: dict, states: dict) -> None:
        sizes = [states[path][0] for path in paths]
        bar = tqdm(
            total=sum(sizes),
            desc="digests",
            unit="B",
            unit_scale=True,
            leave=False,
            disable=sum(sizes) < 2 * BLOCK,  # what takes no time needs no bar
        )
        with ThreadPoolExecutor(4) as pool, bar:
            waiting, held = [], 0
            for number, (path, size) in enumerate(zip(paths, sizes, strict=True), 1):
                waiting.append(path)
                held += size
                if held >= BLOCK or number == len(paths):
                    for done, digest in zip(waiting, pool.map(_digest, waiting), strict=True):
                        self._known[names[done]] = (*states[done], digest)
                        bar.update(states[done][0])
                    waiting, held = [], 0

    def _remembered(self) -> dict:
        try:
            known = json.loads(self.memory.read_bytes()) if self.memory else {}
            return {
                str(name): (int(size), int(changed), int(noted), str(digest))
                for name, (size, changed, noted, digest) in known.items()
            }
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}

    def _remember(self) -> None:
        if self.memory:
            self._known = self._remembered() | self._known  # what others found out meanwhile
            with suppress(OSError), whole_file(self.memory) as draft:  # it may be another's folder
                draft.write_text(json.dumps(self._known))


def images_fingerprint(
    maker: str, samples: Sequence[Sample], digests: Digests | None = None
) -> str:
    """A digest of what makes the rows, and of every image's contents and flip.

    Arguments:
        maker: says how rows come from images.
        samples: in the order of the rows.
        digests: of files; None reads them all.
    """
    images = [(image, flip) for sample in samples for image, flip in zip(
        sample.images, sample.flips, strict=True
    )]  # fmt: skip
    contents = (digests or Digests())(image for image, _ in images if image is not None)
    lines = (f"{contents.get(image, 'missing')} {flip}" for image, flip in images)
    return digest_lines([maker, *lines])


def data_fingerprint(category: Category, digests: Digests | None = None) -> str:
    """A digest of what a data set contributes to a result: images, labels and masks of defects.

    Arguments:
        category: its samples.
        digests: of files; None reads them all.
    """
    samples = [sample for part in category.splits.values() for sample in part]
    files = (path for sample in samples for path in (*sample.images, *sample.masks) if path)
    contents = (digests or Digests())(files)
    lines = []
    for sample in samples:
        lines.append(f"{sample.split} {sample.name} {sample.code} {sample.label}")
        for image, mask, *view in zip(
            sample.images, sample.masks, sample.cameras, sample.labels, sample.flips, strict=True
        ):
            lines.append(f"{contents.get(image, 'missing')} {contents.get(mask, 'none')} {view}")
    return digest_lines(lines)


def former_images_fingerprint(maker: str, samples: Sequence[Sample]) -> str:
    """What `images_fingerprint` was while it knew files by place, size and time of change."""
    digest = hashlib.sha256(maker.encode())
    for sample in samples:
        for image, flip in zip(sample.images, sample.flips, strict=True):
            status = image and regular(image)
            state = f"{status.st_size} {status.st_mtime_ns}" if status else "missing"
            digest.update(os.fsencode(f"{image and image.absolute()} {state} {flip}\n"))
    return digest.hexdigest()


def former_data_fingerprints(category: Category, now: str, then: str) -> set[str]:
    """What `data_fingerprint` was while it knew files by place and size, not by their contents.

    Arguments:
        category: its samples.
        now, then: the root of the data set today, and when the fingerprint was made.

    Returns:
        the fingerprint of the files where they lie, and of the same ones under their former root.
    """
    found = set()
    for root in {now, then}:
        digest = hashlib.sha256()
        for split, samples in category.splits.items():
            for sample in samples:
                for paths, label in zip(
                    zip(sample.images, sample.masks, strict=True), sample.labels, strict=True
                ):
                    sizes = [path and regular(path).st_size for path in paths]
                    image, mask = (
                        path and Path(root, os.path.relpath(path, now)) if root != now else path
                        for path in paths
                    )
                    state = f"{split} {image} {mask} {sizes} {sample.label} {label}\n"
                    digest.update(os.fsencode(state))
        found.add(digest.hexdigest())
    return found


def digest_lines(lines: Iterable[str]) -> str:
    """A digest of lines of text."""
    digest = hashlib.blake2b(digest_size=20)
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogatepass"))
    return f"contents-{digest.hexdigest()}"


def _digest(path: Path) -> str:
    """Of a file's contents."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
    except OSError as error:
        raise Fault(
            f"{path}: {error.strerror}; change its permissions, or copy it again",
            "unreadable file",
        ) from None
