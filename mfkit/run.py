"""From a folder of pictures to results: one category end to end, or all of them."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from mfkit import plot
from mfkit.data import Category, categories, read_category, read_mask
from mfkit.evaluation import evaluate
from mfkit.features import Backbone, FeatureStore, load_backbone
from mfkit.files import InputError, whole_file
from mfkit.flow import MultiFlow
from mfkit.messages import MESSAGES
from mfkit.results import open_results, write_results
from mfkit.train import Diverged, Training, save_flow, train
from mfkit.views import ViewGraph

__all__ = ["GRAPHS", "PRESETS", "Preset", "run"]

GRAPHS = {
    "wheel": lambda views: ViewGraph.wheel(views - 1),
    "shuffled": lambda views: ViewGraph.shuffled(views - 1),
    "ring": lambda views: ViewGraph.ring(views - 1),
    "hub": lambda views: ViewGraph.hub(views - 1),
    "chain": ViewGraph.chain,
    "cycle": ViewGraph.cycle,
    "complete": ViewGraph.complete,
    "empty": ViewGraph.empty,
}


@dataclass(frozen=True)
class Preset:
    """Sizes and training that belong together.

    Attributes:
        backbone: a name of `mfkit.features.BACKBONES`.
        blocks, hidden: of the flow.
        training: how the flow is trained.
        graph: a name of `GRAPHS`.
        message: a name of `mfkit.messages.MESSAGES`.
    """

    backbone: str
    blocks: int
    hidden: int
    training: Training
    graph: str = "wheel"
    message: str = "conv"


PRESETS = {
    "workshop": Preset(
        backbone="efficientnet_lite0",
        blocks=4,
        hidden=32,
        training=Training(epochs=20, learning_rate=1e-3, clip_norm=1.0),
    ),
    "paper": Preset(backbone="efficientnet_b5", blocks=6, hidden=64, training=Training()),
}


def run(
    data: str | Path,
    out: str | Path,
    category: Sequence[str] | None = None,
    preset: str = "workshop",
    epochs: int | None = None,
    device: str = "auto",
    seed: int = 0,
    graph: str = "wheel",
    message: str = "conv",
    features: str | Path | None = None,
    view_dropout: float = 0.0,
    missing_views: str = "error",
) -> dict:
    """Train and evaluate a flow on each category; what is done already is not done again.

    Leaves `out/results.json`, and for every category a folder with model.pt, scores.csv, maps.npy,
    overview.png, history.csv and checkpoint.pt.

    Arguments:
        data: the root of a data set in Real-IAD's layout.
        out: folder of the results.
        category: names; None takes all categories.
        preset: "workshop" or "paper".
        epochs: None takes the preset's.
        device: "cpu", "cuda", "mps" or "auto", the best one there is.
        seed: of everything random.
        graph: a name of `GRAPHS`.
        message: a name of `mfkit.messages.MESSAGES`.
        features: folder of the feature stores, to share them between runs; None is out/features.
        view_dropout: see `mfkit.train.Training`.
        missing_views: see `mfkit.read_category`.

    Returns:
        what results.json holds.

    Raises:
        InputError: data or arguments are wrong. With several categories the others are finished
            first.
    """
    choices = (
        ("preset", preset, PRESETS),
        ("graph", graph, GRAPHS),
        ("message", message, MESSAGES),
    )
    for name, value, known in choices:
        if value not in known:
            raise InputError(f"--{name} should be one of {', '.join(known)}, got {value!r}")
    training = replace(PRESETS[preset].training, view_dropout=view_dropout)
    if epochs is not None:
        training = replace(training, epochs=epochs)
    settings = replace(PRESETS[preset], graph=graph, message=message, training=training)
    out = Path(out)
    features = Path(features or out / "features")
    names = list(category) if category else categories(data)
    read = {name: read_category(data, name, missing_views=missing_views) for name in names}
    place = choose_device(device)
    config = {
        "data": str(Path(data).resolve()),
        "preset": preset,
        "seed": seed,
        "missing_views": missing_views,
        **asdict(settings),
    }
    results = open_results(out, config)
    backbone = load_backbone(settings.backbone)
    troubles = []
    for name in names:
        if name in results["categories"]:
            print(f"{name}: done before, see {out / name}")
            continue
        print(f"{name}: {len(read[name].train)} training and {len(read[name].test)} test samples")
        try:
            results["categories"][name] = _run_category(
                read[name], settings, seed, backbone.to(place), out / name, features / name
            )
        except (InputError, Diverged) as error:
            if len(names) == 1:
                raise
            print(f"{name}: {error}")
            troubles.append(f"{name}: {error}")
            continue
        write_results(out, results)
    if troubles:
        raise InputError("\n".join(troubles))
    return results


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA, else MPS, else the CPU."""
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in here.items() if available)
    if not here.get(name.split(":")[0], False):
        known = ", ".join(device for device, available in here.items() if available)
        raise InputError(f"--device {name} is not available here; choose auto or {known}")
    return torch.device(name)


def _run_category(
    category: Category,
    settings: Preset,
    seed: int,
    backbone: Backbone,
    out: Path,
    features: Path,
) -> dict:
    """Features, training, evaluation, files; the row of results.json."""
    _check_test_split(category)
    seconds = {}
    start = time.perf_counter()
    stores = {
        split: FeatureStore.build(
            features / f"{split}.f16", samples, backbone, label=f"features, {split}"
        )
        for split, samples in (("train", category.train), ("test", category.test))
    }
    seconds["features"] = time.perf_counter() - start
    torch.manual_seed(seed)
    flow = MultiFlow(
        *stores["train"].shape[2:],
        graph=GRAPHS[settings.graph](category.views),
        blocks=settings.blocks,
        hidden=settings.hidden,
        message=settings.message,
        seed=seed,
    ).to(backbone.mean.device)
    history = train(flow, stores["train"], settings.training, out, seed)
    seconds["training"] = history["seconds"].sum()
    save_flow(flow, out / "model.pt")
    start = time.perf_counter()
    metrics, nll, images, samples = evaluate(flow, stores["test"], category.test)
    seconds["evaluation"] = time.perf_counter() - start
    _write_scores(out, category, nll, images, samples)
    figure = plot.overview(
        category.test,
        nll,
        images,
        samples,
        title=f"{category.name}, S-AUROC {metrics['s_auroc']:.3f}",
    )
    plot.save(figure, out / "overview.png")
    return {
        **metrics,
        "samples": len(category.test),
        "seconds": {step: round(float(value), 1) for step, value in seconds.items()},
    }


def _check_test_split(category: Category) -> None:
    """Find out before the work starts whether its end can be reached."""
    labels = {sample.label for sample in category.test}
    if labels != {False, True}:
        lacking = "defective" if labels == {False} else "sound"
        raise InputError(
            f"{category.name}: the test split holds no {lacking} sample, so no AUROC can be "
            "computed; add some to the JSON file"
        )
    for sample in tqdm(category.test, desc="masks"):
        for image, mask in zip(sample.images, sample.masks, strict=True):
            if mask is not None:
                read_mask(mask, image=image)


def _write_scores(
    out: Path, category: Category, nll: np.ndarray, images: np.ndarray, samples: np.ndarray
) -> None:
    frame = pd.DataFrame(images, columns=[f"C{camera}" for camera in category.cameras])
    frame.insert(0, "sample", [sample.name for sample in category.test])
    frame.insert(1, "label", [int(sample.label) for sample in category.test])
    frame.insert(2, "score", samples)
    with whole_file(out / "scores.csv") as draft:
        frame.to_csv(draft, index=False)
    with whole_file(out / "maps.npy") as draft:
        np.save(draft, nll)
