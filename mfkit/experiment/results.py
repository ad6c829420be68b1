"""results.json: what a run leaves."""

import json
import platform
from collections.abc import Sequence
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from mfkit.errors import InputError
from mfkit.experiment.evaluation import METRICS
from mfkit.files import whole_file

__all__ = ["add_result", "finished", "open_results", "read_results"]


def open_results(out: Path, config: dict, categories: Sequence[str] | None = None) -> dict:
    """What an earlier run left in `out`, or the beginning of new results.

    Arguments:
        out: the folder of a run.
        config: the settings of this run; only epochs may differ from those of an earlier one: more
            of them continue it, if the learning rate is constant.
        categories: those that this run trains, to make sure that it does not cost others their
            results; None: this has been looked at.

    Returns:
        what results.json holds that remains.

    Raises:
        InputError: an earlier run in `out` had other settings, or finished categories would not
            remain, though they are not to be trained again.
    """
    path = out / "results.json"
    if path.exists():
        results = read_results(out)
        earlier, asked = deepcopy(results["config"]), json.loads(json.dumps(config))
        earlier["training"]["micro_batch"] = asked["training"]["micro_batch"]  # changes no result
        if earlier == asked:
            return results
        if asked["training"]["schedule"] == "constant":
            earlier["training"]["epochs"] = asked["training"]["epochs"]
        if earlier == asked:  # the checkpoints go on from where they are
            before, now = (each["training"]["epochs"] for each in (results["config"], asked))
            finished = results["categories"]
            if categories is not None and (now < before or not set(finished) <= set(categories)):
                raise InputError(
                    f"{path} holds categories trained for {before} epochs already, {now} are asked "
                    f"for: ask for more, for all of them ({', '.join(finished)}), or choose "
                    "another --out"
                )
            return {**results, "categories": {}, "config": asked}
        flat = [{**each, **each["training"], "training": None} for each in (earlier, asked)]
        changed = [key for key in flat[0] | flat[1] if flat[0].get(key) != flat[1].get(key)]
        raise InputError(
            f"{path} is the result of another {' and '.join(changed)}: choose the same settings, "
            "another --out, or delete the folder"
        )
    packages = ("mfkit", "torch", "torchvision", "FrEIA", "numpy")
    versions = {name: version(name) for name in packages} | {"python": platform.python_version()}
    return {"categories": {}, "mean": {}, "config": config, "versions": versions}


def add_result(out: Path, config: dict, category: str, row: dict) -> dict:
    """Add the row of one category; other processes may add theirs to the same file.

    Returns:
        what results.json holds now, with the mean over its categories.
    """
    with FileLock(out / ".results.lock"):
        results = open_results(out, config)
        results["categories"] = dict(sorted({**results["categories"], category: row}.items()))
        rows = results["categories"].values()
        results["mean"] = {key: sum(row[key] for row in rows) / len(rows) for key in METRICS}
        with whole_file(out / "results.json") as draft:
            draft.write_text(json.dumps(results, indent=2))
    return results


def read_results(out: str | Path) -> dict:
    """Read the results.json of a run's folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = Path(out) / "results.json"
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
