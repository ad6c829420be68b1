"""What ADEval, the official tool of Real-IAD, reads."""

import pickle
from pathlib import Path

import numpy as np
import torch

from mfkit.data import MASK_SIZE, data_fingerprint, read_category
from mfkit.errors import InputError
from mfkit.experiment.results import finished
from mfkit.experiment.run_folder import RunFolder
from mfkit.files import whole_file
from mfkit.score import image_scores, pixel_map

__all__ = ["export"]


def export(out: str | Path, category: str) -> Path:
    """Write the pickle that the official tool's command line reads.

    Arguments:
        out: the folder of a run.
        category: one that the run has finished.

    Returns:
        `out/category/adeval.pkl`: {image path: (map (H, W) float32, image score, mask path or
        None)}. Mirrored views are mirrored back, so that map, image and mask agree.

    Raises:
        InputError: the run has no such category, or its data have changed since.
    """
    folder = RunFolder(out).category(category)
    results = finished(out, category)
    config, row = results["config"], results["categories"][category]
    read = read_category(config["data"], category, missing_views=config["missing_views"])
    try:
        nll = torch.from_numpy(np.load(folder.maps))
    except FileNotFoundError:
        raise InputError(
            f"{folder.maps} is missing: run the category again in another --out"
        ) from None
    if data_fingerprint(read) != row.get("data"):
        raise InputError(
            f"{config['data']}: images, labels or masks of {category} have changed since "
            f"{folder.maps} was made: give the command of the run again"
        )
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
