"""Which parts there are to score: folders with an image for each camera, or rows of a JSON file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfkit.data import FILE_NAME, SUFFIXES, DataSet, Row, Sample, image_folder, natural, read_rows
from mfkit.errors import Fault, InputError
from mfkit.experiment import Description

__all__ = ["Part", "find_parts"]

MASK = "_mask"  # ends the names of masks, as `write_index` takes them by default


@dataclass(frozen=True)
class Part:
    """One part, or why it cannot be scored.

    Attributes:
        name: its folder, or what a JSON file calls it.
        sample: its images in the order of the model's cameras; None if something is wrong.
        note: what is wrong, or which cameras are missing.
    """

    name: str
    sample: Sample | None
    note: str = ""


def find_parts(pictures: Sequence[str | Path], model: Description) -> list[Part]:
    """Find all parts; one that cannot be scored does not stop the others.

    Arguments:
        pictures: folders with one image for each camera, named after it (`top.jpg`, `C1.png`) or
            as in Real-IAD (`..._C1_....jpg`); folders of such folders; JSON files in Real-IAD's
            form, of which the test rows count. Masks beside images are passed over.
        model: says which cameras there must be.
    """
    parts = []
    for path in map(Path, pictures):
        if path.suffix.lower() == ".json":
            parts += _listed(path, model)
        elif path.is_dir():
            parts += _tree(path, model)
        else:
            what = "is no folder" if path.exists() else "does not exist"
            mend = "give a folder with one image for each camera, a folder of such, or a JSON file"
            parts.append(Part(str(path), None, f"{path} {what}; {mend}"))
    return parts


def _tree(path: Path, model: Description, above: frozenset[Path] = frozenset()) -> Iterator[Part]:
    """Each folder that holds images is a part; so is one that holds nothing, but it fails.

    Links are followed, but not to a folder that is being looked through (`above`).
    """
    if (real := path.resolve()) in above:
        return
    try:
        entries = sorted(path.iterdir(), key=lambda entry: natural(entry.name))
    except OSError as error:
        yield Part(str(path), None, f"{path}: {error.strerror}; change its permissions")
        return
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    images = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    folders = [entry for entry in entries if entry.is_dir()]
    if images or not folders:
        yield _part(path, images, model)
    for folder in folders:
        yield from _tree(folder, model, above | {real})


def _part(folder: Path, files: Sequence[Path], model: Description) -> Part:
    """The part of one folder: which of its images is of which camera?"""
    name, known = str(folder), {camera.name: camera.number for camera in model.cameras}
    official = {file.stem for file in files if FILE_NAME.match(file.name)}
    names = ", ".join(known)
    try:
        if not files:
            endings = ", ".join(sorted(SUFFIXES))
            raise Fault(f"{folder}: no image there ({endings} are read); put one for each camera")
        seen: dict[int, Path] = {}
        for file in files:
            if file.stem.endswith(MASK) or _is_mask(file, files, official):
                continue
            match = FILE_NAME.match(file.name)
            number = int(match["camera"]) if match else known.get(file.stem)
            if number not in known.values():
                raise Fault(
                    f"{file}: no camera of the model is called so; its cameras are {names}: name "
                    "the image after its camera, or move it away"
                )
            if number in seen:
                raise Fault(
                    f"{folder}: two images of one camera, {seen[number].name} and {file.name}; "
                    "keep one"
                )
            seen[number] = file
        return _complete(name, str(folder), seen, model)
    except InputError as fault:
        return Part(name, None, str(fault))


def _is_mask(file: Path, files: Sequence[Path], official: set[str]) -> bool:
    """In Real-IAD the mask of a .jpg is the .png of its name."""
    twins = [other for other in files if other.stem == file.stem]
    return file.stem in official and len(twins) > 1 and file.suffix.lower() == ".png"


def _complete(name: str, where: str, seen: dict[int, Path], model: Description) -> Part:
    """A part with the images that were found, if the model can do with them.

    Raises:
        Fault: it cannot.
    """
    missing = [camera.name for camera in model.cameras if camera.number not in seen]
    if not seen:
        raise Fault(f"{where}: no image of any camera")
    lacks = f"no image of camera {', '.join(missing)}"
    if missing and not model.missing_views:
        raise Fault(
            f"{where}: {lacks}; the model needs {len(model.cameras)} images, one of each camera: "
            "add it, or train with --missing-views allow"
        )
    views = len(model.cameras)
    sample = Sample(
        name=name,
        category=model.category,
        code="OK",
        number=name,
        split="test",
        images=tuple(seen.get(camera.number) for camera in model.cameras),
        masks=(None,) * views,
        codes=("OK",) * views,
        flips=tuple(camera.flip for camera in model.cameras),
        cameras=tuple(camera.number for camera in model.cameras),
    )
    return Part(name, sample, f"{lacks}: scored by the others" if missing else "")


def _listed(file: Path, model: Description) -> list[Part]:
    """The parts in the test rows of a JSON file."""
    faults: list[Fault] = []
    beside = file.parent.name.startswith("realiad_jsons")
    try:
        images = DataSet(file.parent).images if beside else image_folder(file.parent)
        rows = read_rows(file, images, faults.append, labelled=False)
    except (InputError, OSError) as fault:
        return [Part(str(file), None, str(fault))]
    faults = [each for each in faults if not str(each).startswith(f"{file}, row train[")]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.split == "test":
            groups.setdefault(row.sample, []).append(row)
    parts, told = [], set()
    for sample, views in groups.items():
        name = f"{file.stem}_{sample}"
        fault = next(
            (each for each in faults for row in views if f"row {row.row}:" in str(each)), None
        )
        if fault is not None:
            told.add(id(fault))
            parts.append(Part(name, None, str(fault)))
        else:
            parts.append(_from_rows(file, name, views, model))
    parts += [Part(str(file), None, str(each)) for each in faults if id(each) not in told]
    if not parts:
        parts.append(
            Part(str(file), None, f"{file}: no row under 'test'; list what to score there")
        )
    return parts


def _from_rows(file: Path, name: str, rows: Sequence[Row], model: Description) -> Part:
    known = {camera.number: camera.name for camera in model.cameras}
    seen: dict[int, Path] = {}
    try:
        for row in rows:
            where = f"{file}, row {row.row}"
            if row.camera not in known:
                numbers = ", ".join(map(str, known))
                raise Fault(
                    f"{where}: the model has no camera {row.camera}; its cameras are {numbers}: "
                    "mend the row, or take it out"
                )
            if row.camera in seen:
                raise Fault(f"{where}: a second image of camera {row.camera}; take one out")
            seen[row.camera] = row.image
        return _complete(name, f"{file}, sample {name}", seen, model)
    except InputError as fault:
        return Part(name, None, str(fault))
