"""results.json: what a run leaves."""

import json
import platform
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from mfkit.errors import InputError
from mfkit.experiment.evaluation import FURTHER, METRICS
from mfkit.experiment.run_folder import RunFolder
from mfkit.experiment.settings import Preset, Training
from mfkit.files import whole_file

__all__ = ["add_result", "finished", "open_results", "read_results"]


def open_results(folder: RunFolder, config: dict, categories: Sequence[str] | None = None) -> dict:
    """What an earlier run left in its folder, or the beginning of new results.

    Arguments:
        folder: of the run.
        config: the settings of this run; they must continue those of an earlier one, see
            `Training.identity`.
        categories: those that this run trains, to make sure that it does not cost others their
            results; None: this has been looked at.

    Returns:
        what results.json holds that remains.

    Raises:
        InputError: an earlier run had other settings, or finished categories would not remain,
            though they are not to be trained again.
    """
    config = json.loads(json.dumps(config))
    if not folder.results.exists():
        packages = ("mfkit", "torch", "torchvision", "FrEIA", "numpy")
        versions = {name: version(name) for name in packages}
        versions["python"] = platform.python_version()
        return {"categories": {}, "mean": {}, "config": config, "versions": versions}
    results = read_results(folder.path)
    earlier, asked = _identity(results["config"]), _identity(config)
    changed = [key for key in earlier | asked if earlier.get(key) != asked.get(key)]
    if changed:
        raise InputError(
            f"{folder.results} is the result of another {' and '.join(changed)}: choose the same "
            "settings, another --out, or delete the folder"
        )
    before, now = (each["training"]["epochs"] for each in (results["config"], config))
    if now == before:
        return results
    finished = results["categories"]
    if categories is not None and (now < before or not set(finished) <= set(categories)):
        raise InputError(
            f"{folder.results} holds categories trained for {before} epochs already, {now} are "
            f"asked for: ask for more, for all of them ({', '.join(finished)}), or choose another "
            "--out"
        )
    return {**results, "categories": {}, "config": config}  # their checkpoints go on


def _identity(config: dict) -> dict:
    """Settings that must agree for a run to be continued, in one flat table."""
    training = Training(**config["training"]).identity()
    defaults = {field.name: field.default for field in fields(Preset)}  # of what was not known yet
    return {**defaults, **config, **training, "training": None}


def add_result(folder: RunFolder, config: dict, category: str, row: dict) -> dict:
    """Add the row of one category; other processes may add theirs to the same file.

    Returns:
        what results.json holds now, with the mean over its categories.
    """
    with FileLock(folder.results_lock):
        results = open_results(folder, config)
        results["categories"] = dict(sorted({**results["categories"], category: row}.items()))
        rows = results["categories"].values()
        results["mean"] = {
            key: sum(row[key] for row in rows) / len(rows)
            for key in METRICS | FURTHER
            if all(key in row for row in rows)
        }
        with whole_file(folder.results) as draft:
            draft.write_text(json.dumps(results, indent=2))
    return results


def read_results(out: str | Path) -> dict:
    """Read the results.json of a run's folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = RunFolder(out).results
    try:
        results = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no results there; make them with python -m mfkit run") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error}): delete it and run again") from None
    if not isinstance(results, dict) or not {"categories", "mean", "config"} <= set(results):
        raise InputError(f"{path} is no result of mfkit: move it away and run again")
    return results


def finished(out: str | Path, category: str) -> dict:
    """What results.json holds, if it holds this category.

    Raises:
        InputError: it does not.
    """
    results = read_results(out)
    if category not in results["categories"]:
        known = ", ".join(results["categories"])
        raise InputError(f"{out} holds no finished category {category!r}; it holds {known}")
    return results
