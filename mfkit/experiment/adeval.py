"""What ADEval, the official tool of Real-IAD, reads."""

import os
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mfkit.data import MASK_SIZE, DataSet, Digests, read_category
from mfkit.errors import InputError
from mfkit.experiment.results import finished, same_data
from mfkit.experiment.run_folder import FeatureFolder, RunFolder
from mfkit.files import whole_file
from mfkit.score import image_scores, pixel_map

__all__ = ["export"]


def export(out: str | Path, category: str, data: str | Path | None = None) -> Path:
    """Write the pickle that the official tool's command line reads.

    Arguments:
        out: the folder of a run.
        category: one that the run has finished.
        data: the root of the data set, if it does not lie any more where the run read it.

    Returns:
        `out/category/adeval.pkl`: {image path: (map (H, W) float32, image score, mask path or
        None)}. Mirrored views are mirrored back, so that map, image and mask agree.

    Raises:
        InputError: the run has no such category, or its data have changed since.
    """
    folder = RunFolder(out).category(category)
    results = finished(out, category)
    config, row = results["config"], results["categories"][category]
    root = os.path.abspath(data or config["data"])
    if not os.path.isdir(root):
        raise InputError(f"{root} is not there: say where the data lie now, with --data ROOT")
    found = DataSet(root, missing_views=config["missing_views"])
    read = read_category(found, category)
    made = FeatureFolder(RunFolder(out).features / config["backbone"] / category)
    memory = made.digests if made.path.is_dir() else None
    if not same_data(row, read, Digests(found.images, memory), root, config["data"]):
        raise InputError(
            f"{root}: images, labels or masks of {category} have changed since {folder.maps} was "
            "made: give the command of the run again"
        )
    nll = _read_maps(folder.maps, len(read.test), read.views)
    entries = {}
    for sample, views, scores in zip(read.test, nll, image_scores(nll), strict=True):
        maps = pixel_map(views[None], MASK_SIZE)[0].numpy()
        rows = zip(sample.images, sample.masks, sample.flips, maps, scores, strict=True)
        for image, mask, flip, values, score in rows:
            if image is None:
                continue
            values = np.ascontiguousarray(values[:, ::-1] if flip else values)
            entries[str(image)] = (values, float(score), None if mask is None else str(mask))
    with whole_file(folder.adeval) as draft, open(draft, "wb") as file:
        pickle.dump(entries, file)
    return folder.adeval


def _read_maps(path: Path, samples: int, views: int) -> Tensor:
    """The score maps of a run, (N, V, H, W)."""
    try:
        maps = np.lib.format.open_memmap(path, "r")
        if maps.ndim != 4 or maps.shape[:2] != (samples, views) or maps.dtype != np.float32:
            raise ValueError(f"{maps.dtype} {maps.shape} for {samples} samples of {views} views")
        return torch.from_numpy(np.array(maps))
    except FileNotFoundError:
        reason = "is missing"
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        reason = f"does not hold the maps of the run ({error})"
    raise InputError(f"{path} {reason}: give the command of the run again")
