"""The worst misses and false alarms of a study, as pictures."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from mfkit import plot
from mfkit.data import Category
from mfkit.study.study_folder import StudyFolder

__all__ = ["MOST", "draw_worst", "worst"]

MOST = 10


def worst(samples: pd.DataFrame, variant: str) -> dict[str, pd.DataFrame]:
    """Defective samples that score less than sound ones, and sound ones that score more.

    Compared over categories in standard deviations of the sound samples of each.

    Arguments:
        samples: of `scored`.
        variant: whose; of its seeds, the first one.

    Returns:
        "misses" and "false alarms", at most `MOST` rows each, the worst first.
    """
    own = samples[samples["variant"] == variant]
    own = own[own["seed"] == own["seed"].min()]
    lowest = own[own["label"]].groupby("category")["score"].min()
    misses = own[own["label"] & (own["found"] < 1)]
    alarms = own[~own["label"] & (own["score"] >= own["category"].map(lowest))]
    misses = misses.sort_values("unusual", kind="stable")
    alarms = alarms.sort_values("unusual", ascending=False, kind="stable")
    return {"misses": misses[:MOST], "false alarms": alarms[:MOST]}


def draw_worst(
    folder: StudyFolder,
    rows: pd.DataFrame,
    chosen: pd.DataFrame,
    categories: Mapping[str, Category],
) -> list[str]:
    """Draw samples with their maps, unless it has been done.

    Arguments:
        folder: of the study.
        rows: of `finished_rows`; their marks tell one result from a later one.
        chosen: of `worst`.
        categories: by name.

    Returns:
        names of the pictures in `folder.pictures`, one for each row of `chosen`.
    """
    marks = rows.set_index(["category", "variant", "seed"])["mark"]
    names = []
    for row in chosen.itertuples():
        number = row.number
        names.append(f"{marks[row.category, row.variant, row.seed]}-{number}.png")
        path = folder.pictures / names[-1]
        if path.exists():
            continue
        home = folder.run(row.variant, row.seed).category(row.category)
        maps = torch.from_numpy(np.load(home.maps))
        sample = categories[row.category].test[number]
        views = range(len(sample.images))
        figure = plot.part_sheet(
            [sample.image(view, plot.THUMBNAIL) for view in views],
            maps[number],
            maps[number].flatten(1).amax(1),
            sample.view_names,
            plot.map_scale(maps),
            f"{row.category}, {sample.title}",
            [sample.mask(view, plot.THUMBNAIL) for view in views],
        )
        plot.save(figure, path, dpi=80)
    return names
