"""Crossed wires: who notices views that are sound one by one and do not fit together?

    python tests/benchmarks/wires.py            # what the file of rows lacks, then the page
    python tests/benchmarks/wires.py train      # a part of it; several may run side by side
    python tests/benchmarks/wires.py page       # the page from what there is

`train` takes --variant and --seed. Rows are kept in notebooks/results/wires.json at once, and a run
that is in there is not done again. The page, wires.md, lies beside it. All variants are the preset
`together` but for what they are called after; epochs, sizes and scores are the same for all.

For fresh samples and for the curve, render first (an hour on two cores):

    python data/render/render.py --out runs/wires/fresh --category wire_plug --seed-offset 1
    cp -r data/mini-iad runs/wires/more
    python data/render/render.py --out runs/wires/more --category wire_plug --train 256
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from pages import Rows, fill, seed_table, slug
from torch import Tensor

from mfkit import HEAT, plot
from mfkit.data import MISFITS, read_category
from mfkit.experiment import Description, read_results
from mfkit.experiment.evaluation import compare, score_split
from mfkit.experiment.run import run
from mfkit.experiment.run_folder import RunFolder
from mfkit.features import FeatureStore, Split, load_backbone
from mfkit.flow import load_flow
from mfkit.score import Agreement, agreement_map, auroc, combined, swap_views

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "runs" / "wires"
DATA = ROOT / "data" / "mini-iad"
PAGE = ROOT / "notebooks" / "results" / "wires.md"
NAME = "wire_plug"
PLAIN = ("screw_block", "control_knob", "cast_flange")
SEEDS = (0, 1, 2)
VARIANTS = {
    "Gaussian": {"method": "gaussian", "linear": False},
    "Gaussian, linear messages": {"method": "gaussian"},
    "separated": {"graph": "empty"},
    "separated, hidden 100": {"graph": "empty", "hidden": 100},
    "wheel, only learned messages": {"linear": False},
    "wheel, means": {"weight": "mean"},
    "wheel, sums": {},
    "complete, sums": {"graph": "complete"},
}
TALKING = "wheel, sums"
COUNTS = (32, 64, 128, 256)
SHIPPED = 128
CURVE = ("Gaussian, linear messages", TALKING)
KINDS = ("JC", "HP", "XH")
TABLE = {
    "plain": ("plain, likelihood", 1),
    "plain_joined": ("plain, joined", 1),
    "misfits": ("misfits, likelihood", 1),
    "misfits_mean": ("misfits, mean rule", 1),
    "misfits_joined": ("misfits, joined", 1),
    **{kind: (kind, 1) for kind in KINDS},
    "i_auroc": ("I-AUROC", 1),
    "p_ap": ("P-AP", 1),
    "p_aupro": ("P-AUPRO", 1),
    "nll": ("test NLL", 3),
    "weights": ("weights (millions)", 2),
    "seconds": ("training (s)", 0),
}
ROWS = Rows(
    PAGE.with_suffix(".json"),
    "python tests/benchmarks/wires.py",
    {
        "variant": list(VARIANTS),
        "seed": SEEDS,
        "samples": COUNTS,
        "rule": ("pooled", "whole"),
        "category": PLAIN,
    },
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", default="all", choices=("all", "train", "page"))
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seed", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    options = parser.parse_args()
    if options.step in ("all", "train"):
        for seed, variant in itertools.product(options.seed, options.variant):
            if seed == 0 or "method" not in VARIANTS[variant]:  # nothing random is in a Gaussian
                ROWS.once("runs", train, variant=variant, seed=seed)
    if options.step == "all":
        for rule in ("pooled", "whole"):
            ROWS.once("ridge", ridge, rule=rule)
        for category in PLAIN:
            ROWS.once("swaps", swaps, category=category)
        for seed in SEEDS:
            ROWS.once("fresh", fresh, variant=TALKING, seed=seed)
        for variant, samples in itertools.product(CURVE, COUNTS):
            ROWS.once("curve", curve, variant=variant, samples=samples)
    if options.step in ("all", "page"):
        page()


def out(variant: str, seed: int) -> Path:
    return RUNS / f"{slug(variant)}-{seed}"


def train(variant: str, seed: int) -> dict:
    """A run, and what it says of plain defects and of misfits."""
    return _train(DATA, out(variant, seed), variant, seed)


def _train(data: Path, folder: Path, variant: str, seed: int, features: str = "features") -> dict:
    run(data, folder, NAME, "together", seed=seed, features=RUNS / features, **VARIANTS[variant])
    row, files = read_results(folder)["categories"][NAME], RunFolder(folder).category(NAME)
    scores = pd.read_csv(files.scores)
    codes = [sample.code for sample in read_category(data, NAME).test]
    joined = scores["combined" if "combined" in scores else "score"]
    return {
        **_figures(row, dict(zip(KINDS, _kinds(joined, codes), strict=True))),
        "weights": sum(p.numel() for p in load_flow(files.model).parameters()) / 1e6,
        "seconds": row["seconds"]["training"],
    }


def _figures(row: dict, kinds: dict) -> dict:
    """Percent, and nats per channel."""
    names = {
        "plain": "s_auroc_plain",
        "plain_joined": "s_combined_plain",
        "misfits": "s_auroc_misfit",
        "misfits_mean": "s_auroc_mean_misfit",
        "misfits_joined": "s_combined_misfit",
        "i_auroc": "i_auroc",
        "p_ap": "p_ap",
        "p_aupro": "p_aupro",
    }
    return {new: 100 * row[old] for new, old in names.items()} | kinds | {"nll": row["nll"]}


def _kinds(scores, codes: list[str]) -> list[float]:
    """S-AUROC of each kind of misfit against the sound samples, in percent."""
    scores, codes = np.asarray(scores), np.array(codes)
    areas = []
    for kind in KINDS:
        chosen = np.isin(codes, (kind, "OK"))
        areas.append(100 * auroc(list(codes[chosen] == kind), torch.tensor(scores[chosen])))
    return areas


def ridge(rule: str) -> dict:
    """What ridge regression leaves of plain defects and of misfits."""
    home = RUNS / "features" / "efficientnet_lite0" / NAME
    train, test = (FeatureStore(home / f"{name}.f16")[:] for name in ("train", "test"))
    left = _left(train, test, rule)
    codes = [sample.code for sample in read_category(DATA, NAME).test]
    kinds = np.isin(codes, list(MISFITS))
    sound = np.array(codes) == "OK"
    areas = {
        name: 100 * auroc(list(~sound[chosen]), torch.tensor(left[chosen]))
        for name, chosen in {"plain": ~kinds, "misfits": sound | kinds}.items()
    }
    return areas | dict(zip(KINDS, _kinds(left, codes), strict=True))


def _left(train: Tensor, test: Tensor, rule: str) -> np.ndarray:
    """One view's features predicted from the others' by ridge regression, without any flow: (N,).

    The score is the mean square of what is left, in units of what leaving one training sample out
    leaves; the ridge is the one of six that leaves least there. (By hand and in the dual form: the
    weights of scikit-learn's RidgeCV for whole maps would take 24 GiB.)
    """
    if rule == "pooled":
        train, test = (x.mean((3, 4), keepdim=True) for x in (train, test))
    mean, spread = train.mean(0), train.std(0).clamp(min=1e-4)
    train, test = (((x - mean) / spread).flatten(2).numpy() for x in (train, test))
    left = np.zeros(len(test))
    for view in range(train.shape[1]):
        others = [other for other in range(train.shape[1]) if other != view]
        inputs, more = (x[:, others].reshape(len(x), -1) for x in (train, test))
        kernel, target = inputs @ inputs.T, train[:, view]
        fits = []
        for ridge in inputs.shape[1] * np.logspace(-3, 2, 6):
            inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))
            dual = inverse @ target
            unit = ((dual / inverse.diagonal()[:, None]) ** 2).mean(0)  # left out one at a time
            fits.append((unit.mean(), ridge, dual, unit))
        _, _, dual, unit = min(fits, key=lambda fit: fit[:2])
        left += ((test[:, view] - more @ inputs.T @ dual) ** 2 / unit).mean(1)
    return left


def swaps(category: str) -> dict:
    """Whole sound test samples against those with one view of another, five views, three donors.

    For each view and donor an AUROC; their mean. By ridge regression on pooled features, and by the
    agreement of a Gaussian with linear messages, which a run of this category leaves.
    """
    folder = RUNS / "gaussian-swaps"
    run(
        DATA,
        folder,
        category,
        "together",
        method="gaussian",
        features=RUNS / "features",
        held_out=0.0,
    )
    home = RUNS / "features" / "efficientnet_lite0" / category
    train, test = (FeatureStore(home / f"{name}.f16")[:] for name in ("train", "test"))
    sound = test[[not sample.label for sample in read_category(DATA, category).test]]
    files = RunFolder(folder).category(category)
    flow, usual = load_flow(files.model), Description.read(files.description).usual

    def agreement(x: Tensor) -> Tensor:
        maps = torch.cat([agreement_map(flow, part) for part in x.split(8)])
        return Agreement.of(maps, usual=usual).samples

    rules = {
        "ridge": lambda x: torch.tensor(_left(train, x, "pooled")),
        "agreement": agreement,
    }
    labels = [False] * len(sound) + [True] * len(sound)
    areas = {name: [] for name in rules}
    for view, donor in itertools.product(range(sound.shape[1]), range(3)):
        swapped = swap_views(sound, [view], torch.Generator().manual_seed(donor))
        for name, rule in rules.items():
            areas[name].append(100 * auroc(labels, rule(torch.cat([sound, swapped]))))
    return {name: float(np.mean(found)) for name, found in areas.items()}


def fresh(variant: str, seed: int) -> dict:
    """The same flow asked about samples of seeds that were never used."""
    samples = read_category(RUNS / "fresh", NAME).test
    store = FeatureStore.build(RUNS / "fresh.f16", samples, load_backbone("efficientnet_lite0"))
    files = RunFolder(out(variant, seed)).category(NAME)
    usual = Description.read(files.description).usual
    scored = score_split(load_flow(files.model), Split(samples, store), usual=usual)
    held = torch.tensor(pd.read_csv(files.held_out)[["score", "agreement"]].to_numpy())
    joined = combined(scored.both(), held)
    kinds = _kinds(joined, [sample.code for sample in samples])
    row = compare(Split(samples, store), scored, joined)
    return _figures(row, dict(zip(KINDS, kinds, strict=True)))


def curve(variant: str, samples: int) -> dict:
    """A run with the first so many training samples, tested on the shipped test samples."""
    if samples == SHIPPED:
        return train(variant, 0)
    folder = RUNS / f"{slug(variant)}-first-{samples}"
    return _train(first(samples), folder, variant, 0, features=f"features-{samples}")


def first(samples: int) -> Path:
    """A data set with the first so many training samples of the category, and its test samples."""
    root = RUNS / f"first-{samples}"
    more = RUNS / "more" if samples > SHIPPED else DATA
    (root / "realiad_jsons").mkdir(parents=True, exist_ok=True)
    if not (root / "realiad_256").exists():
        (root / "realiad_256").symlink_to((more / "realiad_256").resolve())
    index = json.loads((more / "realiad_jsons" / f"{NAME}.json").read_text())
    index["train"] = index["train"][: 5 * samples]
    (root / "realiad_jsons" / f"{NAME}.json").write_text(json.dumps(index))
    return root


def picture() -> None:
    """Five sound views that do not fit, and where the flow notices."""
    samples = read_category(DATA, NAME).test
    index = next(i for i, sample in enumerate(samples) if sample.code == "JC")
    store = FeatureStore(RUNS / "features" / "efficientnet_lite0" / NAME / "test.f16")
    files = RunFolder(out(TALKING, 0)).category(NAME)
    usual = Description.read(files.description).usual
    split = Split(samples, store).part([index])
    (maps,) = score_split(load_flow(files.model), split, usual=usual).agreement.maps
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    rows = figure.subplots(2, len(maps))
    for view, (top, bottom) in enumerate(rows.T):
        top.imshow(samples[index].image(view, 256))
        top.set_title(f"C{view + 1}", fontsize=10)
        shown = bottom.imshow(maps[view], HEAT, vmin=0, vmax=12)
    for ax, label in zip(rows[:, 0], ("every view is sound", "agreement"), strict=True):
        ax.set_ylabel(label)
    for ax in rows.flat:
        ax.set(xticks=[], yticks=[])
    figure.colorbar(shown, ax=rows[1], label="spreads above usual", shrink=0.9)
    plot.save(figure, PAGE.with_name("misfit.png"))


def page() -> None:
    """Draw the picture, fill the page's tables."""
    picture()
    titles = {"ridge": "rule", "swaps": "category"}
    for name, columns in {
        "runs": TABLE,
        "ridge": {key: TABLE[key] for key in ("plain", "misfits", *KINDS)},
        "swaps": {"ridge": ("ridge", 1), "agreement": ("Gaussian, linear messages", 1)},
        "fresh": {key: TABLE[key] for key in TABLE if key not in ("weights", "seconds")},
        "curve": {key: TABLE[key] for key in ("plain_joined", "misfits_joined", *KINDS, "nll")},
    }.items():
        rows = pd.DataFrame(ROWS.read(name))
        if rows.empty:
            raise SystemExit(f"no page yet: there are no rows of {name!r}")
        by = [titles.get(name, "variant")] + ["samples"] * (name == "curve")
        fill(PAGE, name, seed_table(rows, by, columns))


if __name__ == "__main__":
    main()
