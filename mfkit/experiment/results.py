"""results.json: what a run leaves."""

import json
import platform
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from numbers import Real
from pathlib import Path

from mfkit.data import Category, Digests, data_fingerprint, former_data_fingerprints
from mfkit.errors import InputError
from mfkit.experiment.evaluation import FURTHER, METRICS
from mfkit.experiment.form import misfit
from mfkit.experiment.result_files import settle
from mfkit.experiment.run_folder import RunFolder
from mfkit.experiment.settings import Preset, Training, foreground_kind
from mfkit.files import locked, whole_file

__all__ = [
    "add_result",
    "finished",
    "moved",
    "open_results",
    "read_results",
    "same_data",
    "versions",
]


def open_results(folder: RunFolder, config: dict, categories: Sequence[str] | None = None) -> dict:
    """What an earlier run left in its folder, or the beginning of new results.

    Arguments:
        folder: of the run.
        config: the settings of this run; they must continue those of an earlier one, see
            `Training.identity`. Where the data lie is none of them.
        categories: those that this run trains, to make sure that all are trained equally long;
            None: this has been looked at.

    Returns:
        what results.json holds, with the settings of whoever trains longer.

    Raises:
        InputError: an earlier run had other settings, or finished categories would have been
            trained for another number of epochs than those to be trained.
    """
    config = json.loads(json.dumps(config))
    if not folder.results.exists():
        return {"categories": {}, "mean": {}, "config": config, "versions": versions()}
    results = read_results(folder.path)
    earlier, asked = _identity(results["config"]), _identity(config)
    changed = [key for key in earlier | asked if earlier.get(key) != asked.get(key)]
    if changed:
        raise InputError(
            f"{folder.results} is the result of another {' and '.join(changed)}: choose the same "
            "settings, another --out, or delete the folder"
        )
    before, now = (each["training"]["epochs"] for each in (results["config"], config))
    rows = results["categories"]
    if categories is not None:
        ahead = max((rows[name]["epochs"] for name in categories if name in rows), default=0)
        behind = now > before and not set(rows) <= set(categories)
        if ahead > now or behind:
            raise InputError(
                f"{folder.results} holds categories trained for {max(ahead, before)} epochs "
                f"already, {now} are asked for: ask for more, for all of them "
                f"({', '.join(rows)}), or choose another --out"
            )
    longer = config if now > before else results["config"]
    return {**results, "config": {**longer, "data": results["config"]["data"]}}


def versions() -> dict[str, str]:
    """Of what computes results, here and now."""
    return {
        **{name: _version(name) for name in ("mfkit", "torch", "torchvision", "FrEIA", "numpy")},
        "python": platform.python_version(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a folder of sources works as well
        return "not installed"


def _identity(config: dict) -> dict:
    """Settings that must agree for a run to be continued, in one flat table.

    Data and masks are told by their contents, category by category, wherever they lie.
    """
    training = Training(**config["training"]).identity()
    defaults = {field.name: field.default for field in fields(Preset)}  # of what was not known yet
    flat = {**defaults, **config, **training, "training": None, "data": None}
    return {**flat, "foreground": foreground_kind(flat["foreground"])}


def add_result(folder: RunFolder, config: dict, category: str, row: dict) -> dict:
    """Add the row of one category; other processes may add theirs to the same file.

    The row of a category that was trained longer is better, and stays. The file says the versions
    of the last one, each row its own.

    Returns:
        the row that results.json holds now.
    """
    with locked(folder.results_lock, "results.json"):
        results = open_results(folder, config)
        rows = results["categories"]
        row = json.loads(json.dumps(row))
        if category not in rows or rows[category]["epochs"] <= row["epochs"]:
            rows[category] = row
            results["versions"] = row.get("versions", results["versions"])
        results["categories"] = rows = dict(sorted(rows.items()))
        results["config"]["data"] = config["data"]
        results["mean"] = {
            key: sum(row[key] for row in rows.values()) / len(rows)
            for key in METRICS | FURTHER
            if all(key in row for row in rows.values())
        }
        _write(folder, results)
    return rows[category]


def moved(folder: RunFolder, config: dict) -> None:
    """Note where the data lie now, for those who read them later."""
    if folder.results.exists():
        with locked(folder.results_lock, "results.json"):
            results = open_results(folder, config)
            results["config"]["data"] = config["data"]
            _write(folder, results)


def _write(folder: RunFolder, results: dict) -> None:
    with whole_file(folder.results) as draft:
        draft.write_text(json.dumps(results, indent=2))


FORM = {
    "categories": {str: {**dict.fromkeys(METRICS, Real), "samples": int}},
    "mean": {str: Real},
    "config": {"data": str, "training": {"epochs": int}},
}
"""What every results.json has that any mfkit wrote."""
NEWER = {
    "row": {
        "data": str,
        "foreground": (str, type(None)),
        "epochs": int,
        "mark": str,
        "versions": {str: str},
    },
    "config": {"preset": str, "seed": int, "missing_views": str, "foreground": str},
    "results": {"versions": {str: str}},
}
"""What they have besides, unless an earlier mfkit wrote them."""


def read_results(out: str | Path) -> dict:
    """Read the results.json of a run's folder.

    Returns:
        what it holds; rows of an earlier mfkit are given their number of epochs.

    Raises:
        InputError: there is none, or it is damaged, or was edited into something else.
    """
    path = RunFolder(out).results
    try:
        results = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no results there; make them with python -m mfkit run") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged ({error}): delete it, and the run's command makes it again from "
            "the checkpoints"
        ) from None
    if not isinstance(results, dict) or not set(FORM) <= set(results):
        raise InputError(f"{path} is no result of mfkit: move it away and run again")
    if wrong := misfit(results, FORM, str(path)) or _wrong_row(path, results):
        raise InputError(
            f"{wrong}: undo what was edited, or delete the file, and the run's command makes it "
            "again from the checkpoints"
        )
    for row in results["categories"].values():
        row.setdefault("epochs", results["config"]["training"]["epochs"])
    return results


def _wrong_row(path: Path, results: dict) -> str | None:
    """What is wrong with rows or settings beyond their form."""
    for name, row in results["categories"].items():
        title = f"{path}: the row of {name!r}"
        files = row.get("files", {})
        if wrong := misfit(row, _newer("row", row), title) or misfit(files, {str: str}, title):
            return wrong
        places = (name, row.get("mark", "-"), *files)
        if any(Path(place).name != place or place in ("", "..") for place in places):
            return f"{title} names something outside its folder"
        if wrong := _wrong_figure(row, title):
            return wrong
    mean, title = results["mean"], f"{path}: the mean"
    needed = dict.fromkeys(METRICS, Real) if results["categories"] else {}
    if wrong := misfit(mean, needed, title) or _wrong_figure(mean, title):
        return wrong
    parts = {"config": results["config"], "results": results}
    for kind, part in parts.items():
        if wrong := misfit(part, _newer(kind, part), f"{path}: its {kind}"):
            return wrong
    try:
        settings_of(results["config"])
    except InputError as error:
        return f"{path}: its settings are impossible ({error})"
    return None


def _wrong_figure(figures: dict, title: str) -> str | None:
    for key in METRICS | FURTHER:
        value = figures.get(key, 0)
        if misfit(value, Real) or not -1e-6 <= value <= 1 + 1e-6:
            return f"{title}: {key!r} should be from 0 to 1, got {value!r}"
    return None


def _newer(kind: str, part: dict) -> dict:
    return {key: form for key, form in NEWER[kind].items() if key in part}


def settings_of(config: dict) -> Preset:
    """The settings of a run, from what results.json says about them.

    Raises:
        InputError: they are impossible.
    """
    try:
        known = {field.name: config[field.name] for field in fields(Preset) if field.name in config}
        names = {field.name for field in fields(Training)}
        given = {key: value for key, value in config["training"].items() if key in names}
        return Preset(**{**known, "training": Training(**given)})
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(str(error)) from None


def finished(out: str | Path, category: str) -> dict:
    """What results.json holds, if it holds this category and its files are whole.

    Raises:
        InputError: it does not, or they are not.
    """
    wrong, before = [], None
    while True:
        results = read_results(out)
        if category not in results["categories"]:
            known = ", ".join(results["categories"])
            raise InputError(f"{out} holds no finished category {category!r}; it holds {known}")
        row = results["categories"][category]
        if row == before:
            raise InputError(
                f"{'; '.join(wrong)}: type the command of the run again, which makes the result "
                "anew from its checkpoint"
            )
        if not (wrong := settle(RunFolder(out).category(category), row)):
            return results
        before = row  # unless another process has replaced it meanwhile


def same_data(row: dict, category: Category, digests: Digests, now: str, before: str) -> bool:
    """Whether a row is the result of these data.

    Arguments:
        row: of results.json; an earlier mfkit knew data by place and size.
        category: as it is now.
        digests: of its files.
        now, before: the root of the data set now, and when the row was made.
    """
    known = str(row.get("data"))
    if known.startswith("contents-"):
        return known == data_fingerprint(category, digests)
    return known in former_data_fingerprints(category, now, before)
