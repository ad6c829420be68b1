"""Is a flow worth more than a Gaussian? The preset `improved` beside its opponents and its parts.

    python tests/benchmarks/stronger.py            # what the file of rows lacks, then the page
    python tests/benchmarks/stronger.py train      # a part of it; several may run side by side
    python tests/benchmarks/stronger.py page       # the page from what there is

`train` takes --variant, --category and --seed. Rows are kept in notebooks/results/stronger.json at
once, and a run that is in there is not done again. The page, stronger.md, lies beside it. All
variants are the preset `improved` but for what they are called after, on the plain categories of
mini-iad; those of `ABLATIONS` have one seed. Swaps exchange one view of sound test samples for that
of another and ask the models of seed 0 who notices. `curve` trains with more and more samples of
wire_plug; `wires.py` says how those beyond 128 are rendered.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import wires
from pages import Rows, fill, markdown, seed_table, slug
from wires import first

from mfkit.data import read_category
from mfkit.experiment import Description
from mfkit.experiment.run import run
from mfkit.experiment.run_folder import RunFolder
from mfkit.features import FeatureStore
from mfkit.flow import load_flow
from mfkit.score import Agreement, agreement_map, auroc, standard_error, swap_views

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "runs" / "stronger"
DATA = ROOT / "data" / "mini-iad"
PAGE = ROOT / "notebooks" / "results" / "stronger.md"
CATEGORIES = ("screw_block", "control_knob", "cast_flange")
SEEDS = (0, 1, 2)
ONE = {"backbone": "efficientnet_lite0"}
OURS = "improved"
OPPONENTS = {
    "neighbours": {"method": "neighbours", **ONE},
    "Gaussian": {"method": "gaussian", "linear": False, **ONE},
    "Gaussian, two scales": {"method": "gaussian", "linear": False},
    "separated": {"graph": "empty"},
}
ABLATIONS = {
    "no couplings": {"method": "gaussian"},
    "one scale": ONE,
    "no cross-fitting": {"folds": 0},
    "learned messages": {"message": "conv", "message_dropout": 0.5},
    "kernels of 1": {"kernel_size": 1},
    "2 epochs": {"epochs": 2},
    "8 epochs": {"epochs": 8},
}
VARIANTS = OPPONENTS | {OURS: {}} | ABLATIONS
STEPS = ("train", "curve", "swaps", "page")
COUNTS = (16, 32, 64, 128, 256)
CURVE = ("neighbours", "Gaussian, two scales", "separated", OURS)
PERCENT = {
    "s_auroc": "S-AUROC",
    "s_auroc_mean": "S-AUROC (mean)",
    "s_combined": "S, joined",
    "i_auroc": "I-AUROC",
    "p_auroc": "P-AUROC",
    "p_ap": "P-AP",
    "p_aupro": "P-AUPRO",
}
TABLE = {"nll": ("test NLL", 3), **{key: (title, 1) for key, title in PERCENT.items()}}
LEARNING = {
    "nll": ("test NLL", 3),
    "s_auroc_plain": ("S-AUROC, plain", 1),
    "s_combined_plain": ("joined, plain", 1),
    "s_combined_misfit": ("joined, misfits", 1),
    "i_auroc": ("I-AUROC", 1),
    "p_ap": ("P-AP", 1),
    "p_aupro": ("P-AUPRO", 1),
}
RACE = ("s_auroc", "i_auroc", "p_ap", "p_aupro")
ROWS = Rows(
    PAGE.with_suffix(".json"),
    "python tests/benchmarks/stronger.py",
    {"category": CATEGORIES, "variant": list(VARIANTS), "seed": SEEDS, "samples": COUNTS},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", default="all", choices=("all", *STEPS))
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--category", nargs="+", choices=CATEGORIES, default=CATEGORIES)
    parser.add_argument("--seed", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    options = parser.parse_args()
    if options.step in ("all", "train"):
        for seed, variant, category in itertools.product(
            options.seed, options.variant, options.category
        ):
            if seed == 0 or repeated(variant):
                ROWS.once("runs", train, category=category, variant=variant, seed=seed)
    if options.step in ("all", "curve"):
        for samples, variant in itertools.product(COUNTS, CURVE):
            ROWS.once("curve", curve, variant=variant, samples=samples)
    if options.step in ("all", "swaps"):
        for variant, category in itertools.product((OURS, "no couplings"), CATEGORIES):
            ROWS.once("swaps", swaps, category=category, variant=variant)
    if options.step in ("all", "page"):
        page()


def repeated(variant: str) -> bool:
    """Is it trained with several seeds? Nothing random is in what is fitted at once."""
    return variant not in ABLATIONS and "method" not in VARIANTS[variant]


def out(variant: str, seed: int) -> Path:
    return RUNS / f"{slug(variant)}-{seed}"


def train(category: str, variant: str, seed: int) -> dict:
    """A run, in percent and nats per channel."""
    options = {"seed": seed, "features": RUNS / "features", **VARIANTS[variant]}
    results = run(DATA, out(variant, seed), category, "improved", **options)
    row = results["categories"][category]
    found = {key: 100 * row[key] for key in PERCENT if key in row}
    weights = sum(p.numel() for p in _flow(category, variant, seed).parameters()) / 1e6
    nll = {"nll": row["nll"]} if "nll" in row else {}
    return {**found, **nll, "weights": weights, "seconds": row["seconds"]["training"]}


def _flow(category: str, variant: str, seed: int = 0):
    return load_flow(RunFolder(out(variant, seed)).category(category).model)


def swaps(category: str, variant: str) -> dict:
    """Sound test samples against those with one view of another: five views, three donors each."""
    home = RUNS / "features" / "efficientnet_lite0_pyramid" / category
    samples = read_category(DATA, category).test
    sound = FeatureStore(home / "test.f16")[[n for n, s in enumerate(samples) if not s.label]]
    files = RunFolder(out(variant, 0)).category(category)
    flow, usual = _flow(category, variant), Description.read(files.description).usual

    def agreement(x: torch.Tensor) -> torch.Tensor:
        maps = torch.cat([agreement_map(flow, part) for part in x.split(8)])
        return Agreement.of(maps, usual=usual).samples

    labels, whole, areas = [False] * len(sound) + [True] * len(sound), agreement(sound), []
    for view, donor in itertools.product(range(sound.shape[1]), range(3)):
        swapped = swap_views(sound, [view], torch.Generator().manual_seed(donor))
        areas.append(100 * auroc(labels, torch.cat([whole, agreement(swapped)])))
    return {"agreement": float(np.mean(areas))}


def curve(variant: str, samples: int) -> dict:
    """A run with the first so many training samples of wire_plug, tested on its test samples."""
    folder = RUNS / f"{slug(variant)}-first-{samples}"
    options = {"features": RUNS / f"features-{samples}", **VARIANTS[variant]}
    results = run(first(samples), folder, wires.NAME, "improved", **options)
    row = results["categories"][wires.NAME]
    found = {key: 100 * row[key] for key in LEARNING if key in row and key != "nll"}
    return found | ({"nll": row["nll"]} if "nll" in row else {})


def page() -> None:
    """Fill the page's tables."""
    learned = pd.DataFrame(ROWS.read("curve"))
    fill(
        PAGE,
        "curve",
        seed_table(learned, ["samples", "variant"], LEARNING)
        .replace("nan ± nan", "-")
        .replace("nan", "-"),
    )
    runs = pd.concat([pd.DataFrame(ROWS.read("runs")), _standardized()], ignore_index=True)
    rivals = ["standardized", *OPPONENTS, OURS]
    for name in (*CATEGORIES, "all"):
        part = runs if name == "all" else runs[runs["category"] == name]
        part = part[part["variant"].isin(rivals)]
        fill(PAGE, name, _table(part, rivals))
    parts = [OURS, *ABLATIONS]
    first = runs[(runs["seed"] == 0) & runs["variant"].isin(parts)]
    first = first.groupby("variant").filter(lambda rows: len(rows) == len(CATEGORIES))
    fill(PAGE, "parts", _table(first, parts))
    fill(PAGE, "race", _race(runs[runs["variant"].isin(rivals)]))
    found = pd.DataFrame(ROWS.read("swaps")).pivot(
        index="category", columns="variant", values="agreement"
    )
    cells = [
        [name, *(f"{row[v]:.1f}" for v in (OURS, "no couplings"))] for name, row in found.iterrows()
    ]
    fill(PAGE, "swaps", markdown(["category", OURS, "no couplings"], cells))


def _standardized() -> pd.DataFrame:
    """The preset `standardized`, which its own page has measured, as rows of this one."""
    known = json.loads(PAGE.with_name("standardized.json").read_text())
    rows = pd.DataFrame(known["runs"]).query("recipe == 'standardized'")
    return rows.assign(variant="standardized").drop(columns="recipe")


def _table(rows: pd.DataFrame, order: list[str]) -> str:
    rows = rows.assign(variant=pd.Categorical(rows["variant"], order)).sort_values("variant")
    rows["variant"] = rows["variant"].astype(str)
    return seed_table(rows, ["variant"], TABLE).replace("nan ± nan", "-").replace("nan", "-")


def _race(runs: pd.DataFrame) -> str:
    """Ours against the best opponent of each column, category by category and in the mean."""
    means = runs.groupby(["category", "variant"])[[*RACE, "nll"]].mean()
    lines = []
    for name in (*CATEGORIES, "mean"):
        part = means.groupby("variant").mean() if name == "mean" else means.loc[name]
        cells = [name]
        for column in RACE:
            others = part.drop(OURS)[column]
            cells.append(f"{part.loc[OURS, column]:.1f} ({others.max():.1f}, {others.idxmax()})")
        cells.append(f"{part.loc[OURS, 'nll'] - part.loc['Gaussian, two scales', 'nll']:+.3f}")
        if name != "mean":
            labels = torch.tensor([s.label for s in read_category(DATA, name).test])
            error = 100 * standard_error(part.loc[OURS, "s_auroc"] / 100, labels)
            cells.append(f"{error:.1f}")
        else:
            cells.append("")
        lines.append(cells)
    titles = ["category", *(f"{PERCENT[c]} (best opponent)" for c in RACE)]
    titles += ["NLL less that of the Gaussian, two scales", "standard error of S-AUROC"]
    return markdown(titles, lines)


if __name__ == "__main__":
    main()
