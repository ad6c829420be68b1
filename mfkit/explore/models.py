"""Trained models for the explorer: from their folders and the data to `Latents`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mfkit.data import DataSet, Digests, read_category
from mfkit.errors import InputError
from mfkit.experiment import FeatureFolder
from mfkit.explore.latents import Latents
from mfkit.features import FeatureStore, ForegroundStore, Split, load_masks
from mfkit.flow import MultiFlow, Pyramid
from mfkit.inspection import PictureScorer, load_scorer

__all__ = ["load_latents"]

SAME = ("category", "backbone", "backbone_digest", "size", "foreground")
"""What models must agree in to be looked at together."""


def load_latents(
    models: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    data: str | Path,
    features: str | Path = "runs/features",
) -> Latents:
    """What one or several trained models make of the test split of their category.

    Arguments:
        models: folders of a model (`OUT/NAME` of a run, `data/models/NAME`); several of them to
            compare, by name or in a list; the last one comes first to the eye.
        data: the data set that holds the category.
        features: where features lie or are put, as for `mfkit.run`.

    Returns:
        the latents; of a flow of several scales those of the coarsest, which is a flow by itself
        and scores for itself. In a list each flow bears the name of its run's folder, or "model" if
        there is one.

    Raises:
        InputError: no model, models that do not belong together, or data that are not theirs.
    """
    named = _named(models)
    folders = list(named.values())
    scorers = [load_scorer(folder, "cpu") for folder in folders]
    described = scorers[0].description
    for folder, scorer in zip(folders, scorers, strict=True):
        if not isinstance(scorer.flow, MultiFlow | Pyramid):
            raise InputError(
                f"{folder} is no flow, so it has no latents: give one that was trained"
            )
        for name in SAME:
            if getattr(scorer.description, name) != getattr(described, name):
                raise InputError(
                    f"{folders[0]} and {folder} differ in their {name} and cannot be compared: "
                    "give models of one category and one preset"
                )
    splits = _splits(scorers[0], data, Path(features))
    shape = splits["test"].features.shape[1:]
    flows = dict(zip(named, (scorer.flow for scorer in scorers), strict=True))
    for folder, flow in zip(folders, flows.values(), strict=True):
        if flow.shape != tuple(shape):
            raise InputError(
                f"{folder} was trained on features {flow.shape}, {data} gives {tuple(shape)}: give "
                "the data set that it was trained on"
            )
    if isinstance(scorers[0].flow, Pyramid):
        return _coarsest(flows, splits)
    usual = {
        name: scorer.description.usual
        for name, scorer in zip(flows, scorers, strict=True)
        if scorer.description.usual is not None
    }
    return Latents(flows, splits["test"], splits["train"], usual)


def _coarsest(pyramids: Mapping[str, Pyramid], splits: Mapping[str, Split]) -> Latents:
    """The first flow of each pyramid, on its part of the features; its name says so."""
    flows = {name: pyramid.flows[0] for name, pyramid in pyramids.items()}
    flows = {f"{name}, {f.shape[2]} x {f.shape[3]} alone": f for name, f in flows.items()}
    channels = next(iter(flows.values())).shape[1]
    test, train = (
        Split(part.samples, part.features[:][:, :, :channels], part.foreground)
        for part in (splits["test"], splits["train"])
    )
    return Latents(flows, test, train)


def _named(models) -> dict[str, Path]:
    """Folders by short names that tell them apart: `runs/wheel/wire_plug` is "wheel"."""
    if isinstance(models, Mapping):
        return {name: Path(folder) for name, folder in models.items()}
    folders = [Path(p) for p in ([models] if isinstance(models, str | Path) else models)]
    if len(folders) == 1:
        return {"model": folders[0]}
    names = [folder.resolve().parent.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return dict(zip(names, folders, strict=True))


def _splits(scorer: PictureScorer, data: str | Path, features: Path) -> dict[str, Split]:
    """Training and test split with the features and the foreground of a model."""
    described = scorer.description
    missing = "allow" if described.missing_views else "error"
    root = DataSet(data, missing_views=missing)
    category = read_category(root, described.category, views=len(described.cameras))
    folder = FeatureFolder(features / described.backbone / category.name)
    digests = Digests(root.images, folder.digests)
    masks = load_masks(described.foreground, root, category.name)
    found = {}
    for name, samples in category.splits.items():
        store = FeatureStore.build(
            folder.features(name), samples, scorer.backbone, label=f"features, {name}",
            digests=digests,
        )  # fmt: skip
        shown = masks and ForegroundStore.build(
            folder.foreground(name, masks.name),
            samples,
            masks,
            *store.shape[3:],
            label=f"foreground, {name}",
            digests=digests,
        )
        found[name] = Split(samples, store, shown)
    return found
