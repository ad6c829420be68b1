"""From a folder of pictures to results: one category end to end, or all of them."""

import json
import pickle
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from mfkit import plot
from mfkit.data import Category, Sample, categories, read_category, read_mask
from mfkit.features import Backbone, FeatureStore, load_backbone
from mfkit.files import InputError, whole_file
from mfkit.flow import MultiFlow
from mfkit.messages import MESSAGES
from mfkit.metrics import PixelMetrics, auroc
from mfkit.score import image_scores, nll_map, pixel_map, sample_scores
from mfkit.train import Diverged, Training, save_flow, train
from mfkit.views import ViewGraph

__all__ = ["GRAPHS", "METRICS", "PRESETS", "Preset", "evaluate", "export", "run", "table"]

MASK_SIZE = 256  # px: where the released code compares maps with masks
METRICS = {
    "s_auroc": "S-AUROC",
    "s_auroc_mean": "S-AUROC (mean)",
    "i_auroc": "I-AUROC",
    "p_auroc": "P-AUROC",
    "p_ap": "P-AP",
    "p_aupro": "P-AUPRO",
}
GRAPHS = {
    "wheel": lambda views: ViewGraph.wheel(views - 1),
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
    settings = replace(PRESETS[preset], graph=graph, message=message)
    if epochs is not None:
        settings = replace(settings, training=replace(settings.training, epochs=epochs))
    out = Path(out)
    features = Path(features or out / "features")
    names = list(category) if category else categories(data)
    read = {name: read_category(data, name) for name in names}
    place = choose_device(device)
    config = {
        "data": str(Path(data).resolve()),
        "preset": preset,
        "seed": seed,
        **asdict(settings),
    }
    results = _open_results(out, config)
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
        _write_results(out, results)
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


@torch.no_grad()
def evaluate(
    flow: MultiFlow, store: FeatureStore, samples: Sequence[Sample], batch: int = 8
) -> tuple[dict[str, float], np.ndarray, np.ndarray, np.ndarray]:
    """Score test samples and compare with their labels and masks.

    Arguments:
        flow: in evaluation mode.
        store: features of the samples.
        samples: N test samples.
        batch: samples scored together.

    Returns:
        the six metrics of `METRICS`; score maps (N, V, H, W), image scores (N, V) and sample
        scores (N,) by the maximum rule, in nats per channel.

    Source: rules of the official tool (ADEval 1.1.0); "s_auroc_mean" is the released code's.
    """
    device = next(flow.parameters()).device
    pixels = PixelMetrics()
    maps = []
    for indices in tqdm(torch.arange(len(store)).split(batch), desc="evaluation"):
        nll = nll_map(*flow(store.read(indices).to(device))).cpu()
        truth = np.stack([_truth(samples[index]) for index in indices])
        pixels.update(pixel_map(nll, MASK_SIZE), truth)
        maps.append(nll)
    nll = torch.cat(maps)
    images = image_scores(nll)
    label = [sample.label for sample in samples]
    labels = [view for sample in samples for view in sample.labels]
    by_max = sample_scores(images)
    metrics = {
        "s_auroc": auroc(label, by_max.numpy()),
        "s_auroc_mean": auroc(label, sample_scores(images, rule="mean").numpy()),
        "i_auroc": auroc(labels, images.flatten().numpy()),
        **pixels.compute(),
    }
    return metrics, nll.numpy(), images.numpy(), by_max.numpy()


def _truth(sample: Sample) -> np.ndarray:
    """Masks of a sample, (V, MASK_SIZE, MASK_SIZE) of bool."""
    blank = np.zeros((MASK_SIZE, MASK_SIZE), dtype=bool)
    views = zip(sample.masks, sample.flips, strict=True)
    return np.stack([blank if m is None else read_mask(m, MASK_SIZE, flip) for m, flip in views])


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


def _open_results(out: Path, config: dict) -> dict:
    """What an earlier run left in `out`, if it had the same settings."""
    path = out / "results.json"
    if path.exists():
        results = read_results(out)
        earlier, asked = results["config"], json.loads(json.dumps(config))
        if earlier == asked:
            return results
        earlier["training"]["epochs"] = asked["training"]["epochs"]
        if earlier == asked:  # the checkpoints go on from where they are
            return {**results, "categories": {}, "config": asked}
        raise InputError(
            f"{path} is the result of other settings: choose another --out, or delete the folder"
        )
    packages = ("mfkit", "torch", "torchvision", "FrEIA", "numpy")
    versions = {name: version(name) for name in packages} | {"python": platform.python_version()}
    return {"categories": {}, "mean": {}, "config": config, "versions": versions}


def _write_results(out: Path, results: dict) -> None:
    rows = results["categories"].values()
    results["mean"] = {key: sum(row[key] for row in rows) / len(rows) for key in METRICS}
    with whole_file(out / "results.json") as draft:
        draft.write_text(json.dumps(results, indent=2))


def read_results(out: str | Path) -> dict:
    """Read the results.json of a run's folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = Path(out) / "results.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no results there; make them with python -m mfkit run") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error}): delete it and run again") from None


def table(outs: Sequence[str | Path]) -> pd.DataFrame:
    """Metrics in percent of several runs side by side, a row for each category and run.

    Arguments:
        outs: folders of runs; the name of a folder is the name of its run.
    """
    rows = []
    for out in map(Path, outs):
        results = read_results(out)
        parts = dict(results["categories"])
        if len(parts) > 1:
            parts["mean"] = results["mean"]
        for name, part in parts.items():
            metrics = {title: 100 * part[key] for key, title in METRICS.items()}
            rows.append({"category": name, "run": out.name, **metrics})
    return (
        pd.DataFrame(rows).set_index(["category", "run"]).sort_index(level=0, sort_remaining=False)
    )


def export(out: str | Path, category: str) -> Path:
    """Write the pickle that the official tool's command line reads.

    Arguments:
        out: the folder of a run.
        category: one that the run has finished.

    Returns:
        `out/category/adeval.pkl`: {image path: (map (H, W) float32, image score, mask path or
        None)}. Mirrored views are mirrored back, so that map, image and mask agree.

    Raises:
        InputError: the run has no such category.
    """
    out = Path(out)
    results = read_results(out)
    if category not in results["categories"]:
        known = ", ".join(results["categories"])
        raise InputError(f"{out} holds no finished category {category!r}; it holds {known}")
    test = read_category(results["config"]["data"], category).test
    nll = torch.from_numpy(np.load(out / category / "maps.npy"))
    maps, images = pixel_map(nll, MASK_SIZE).numpy(), image_scores(nll).numpy()
    entries = {}
    for sample, views, scores in zip(test, maps, images, strict=True):
        rows = zip(sample.images, sample.masks, sample.flips, views, scores, strict=True)
        for image, mask, flip, values, score in rows:
            values = np.ascontiguousarray(values[:, ::-1]) if flip else values
            entries[str(image)] = (values, float(score), None if mask is None else str(mask))
    path = out / category / "adeval.pkl"
    with whole_file(path) as draft:
        draft.write_bytes(pickle.dumps(entries))
    return path
