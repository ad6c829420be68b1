"""What do the cameras tell each other? All variants, swapped, muted and missing views.

    python tests/benchmarks/questions.py          # hours; what is measured is not measured again
    python tests/benchmarks/questions.py train    # a part of it; several may run side by side
    python tests/benchmarks/questions.py pace     # again: seconds per epoch of all variants
    python tests/benchmarks/questions.py page     # the page from what there is

`train` takes --category, --variant and --seed, so that several processes can share the work. What
a run tells is kept in notebooks/results/questions.json at once, and a run that is in there is not
done again. The page of findings, questions.md, lies beside it.
"""

import argparse
import itertools
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from asked import DATA, Trained, ceiling
from matplotlib.figure import Figure
from pace import medians, training_step
from pages import Rows, fill, markdown, seed_table, slug, spread, whole_groups

from mfkit import plot
from mfkit.experiment import PRESETS, autocast, choose_preset, new_flow
from mfkit.experiment.run import run
from mfkit.features import FeatureStore
from mfkit.flow import GRAPHS, ViewGraph, load_flow
from mfkit.score import mean_scores

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "runs" / "questions"
SHARED = ROOT / "runs" / "mini-iad" / "features"
FEATURES = SHARED / PRESETS["workshop"].backbone
PAGE = ROOT / "notebooks" / "results" / "questions.md"
CATEGORIES = ("screw_block", "control_knob", "cast_flange")
SEEDS = (0, 1, 2)
ALL = {"features": SHARED, "amp": "bfloat16"}  # 2.4 times as fast on a processor with AMX
VARIANTS = {
    "separated": {"graph": "empty"},
    "separated, hidden 100": {"preset": "wide", "graph": "empty"},
    "wheel": {"graph": "wheel"},
    "ring": {"graph": "ring"},
    "hub": {"graph": "hub"},
    "chain, sums": {"graph": "chain"},
    "cycle, sums": {"graph": "cycle"},
    "wheel, sums": {"graph": "wheel_sums"},
    "cycle, means": {"graph": "cycle_means"},
    "shuffled wheel": {"graph": "shuffled"},
    "wheel, cross attention": {"message": "cross_attention"},
    "wheel, self attention": {"message": "self_attention"},
    "wheel, view dropout 0.2": {"view_dropout": 0.2},
}
NEEDED = ("separated", "wheel", "wheel, view dropout 0.2")  # asked about missing views
TABLE = {
    "nll": ("test NLL", 3),
    "s_auroc": ("S-AUROC", 1),
    "i_auroc": ("I-AUROC", 1),
    "p_auroc": ("P-AUROC", 1),
    "p_aupro": ("AUPRO", 1),
    "swap": ("swap AUROC", 1),
    "parameters": ("parameters, 10^6", 2),
    "epoch": ("seconds per epoch", 1),
}
SWAP_TABLE = {
    "swap": ("score", 1),
    "swap_against": ("score minus separated flow's", 1),
    "swap_evidence": ("score minus its own, muted", 1),
}
README_TABLE = {
    key: TABLE[key] for key in ("parameters", "nll", "s_auroc", "i_auroc", "p_aupro", "swap")
} | {"swap_against": ("minus separated", 1)}
LONG_TABLE = {
    "train_nll": ("training NLL", 3),
    "nll": ("test NLL", 3),
    "spread": ("its spread over samples", 3),
    "rise": ("rise by a swap", 3),
    "swap": ("swap AUROC", 1),
    "swap_against": ("minus separated", 1),
    "s_auroc": ("S-AUROC", 1),
}
PUBLISHED = [  # facts of other work, on Real-IAD; GeoMAD is one model for all categories
    ["IDIF on Real-IAD (AAAI 2025)", "97.0", "95.9", "95.7", "95.1", "94.0"],
    ["GeoMAD on Real-IAD (2026)", "91.8", "90.9", "89.1", "85.5", "-"],
]
LONG = {"workshop": (20, 40, 80, 160), "standardized": (20, 80)}  # epochs, until little is gained
ROWS = Rows(
    PAGE.with_suffix(".json"),
    "python tests/benchmarks/questions.py",
    {
        "category": CATEGORIES,
        "preset": tuple(LONG),
        "variant": tuple(VARIANTS),
        "epochs": range(1, 1000),
        "seed": SEEDS,
    },
)


def train(options: argparse.Namespace) -> None:
    """Train and question what is not in questions.json yet."""
    for category in options.category:
        for seed in options.seed:
            for name in options.variant:
                ROWS.once("runs", _question, category=category, variant=name, seed=seed)
    asked = {*options.category, *options.variant, *options.seed}
    if asked >= {"screw_block", "separated", "wheel", 0}:  # one process does all of the longer runs
        for preset, counts in LONG.items():
            for name, epochs in itertools.product(("separated", "wheel"), counts):
                ROWS.once("long", _question_long, preset=preset, variant=name, epochs=epochs)


def _folder(*parts: str | int) -> Path:
    """Of one run."""
    return RUNS / slug("-".join(map(str, parts)))


def _question(category: str, variant: str, seed: int) -> dict:
    """Everything that the page tells about one run."""
    for each in dict.fromkeys(("separated", variant)):  # others are held against it
        out = _folder(each, seed)
        run(DATA, out, [category], seed=seed, **ALL, **VARIANTS[each])
    separated = load_flow(_folder("separated", seed) / category / "model.pt")
    trained = Trained(out, category, FEATURES)
    with autocast(torch.device("cpu"), ALL["amp"]):
        told = trained.numbers(separated)
        if variant in NEEDED:
            told["missing"] = [trained.with_missing(count) for count in range(5)]
        if variant in NEEDED[1:]:
            told["worth"] = trained.worth()
    return told


def _question_long(preset: str, variant: str, epochs: int) -> dict:
    """A longer run of the screw block; at a constant rate it continues the next shorter one."""
    counts = LONG[preset][: LONG[preset].index(epochs) + 1]
    for each in dict.fromkeys(("separated", variant)):
        outs = [_folder("long", preset, each, count) for count in counts]
        for shorter, out, count in zip([None, *outs], outs, counts, strict=False):
            if shorter and not out.exists() and preset == "workshop":
                shutil.copytree(shorter, out, ignore=shutil.ignore_patterns("results.json"))
            run(DATA, out, ["screw_block"], preset=preset, epochs=count, **ALL, **VARIANTS[each])
    separated = load_flow(_folder("long", preset, "separated", epochs) / "screw_block" / "model.pt")
    train = FeatureStore(FEATURES / "screw_block" / "train.f16")
    trained = Trained(out, "screw_block", FEATURES)
    with autocast(torch.device("cpu"), ALL["amp"]):
        learned = mean_scores(trained.flow, train[:]).mean().item()
        return {"train_nll": learned, **trained.numbers(separated)}


def pace() -> None:
    """Seconds per epoch of every variant: medians of several steps, taken in turns."""
    store = FeatureStore(FEATURES / CATEGORIES[0] / "train.f16")
    x = store[:8]
    calls = []
    for changes in VARIANTS.values():
        others = {name: value for name, value in changes.items() if name != "preset"}
        settings = choose_preset(changes.get("preset", "workshop"), amp=ALL["amp"], **others)
        flow = new_flow(settings, x.shape[1], x.shape[2:])
        calls.append(training_step(flow, x, settings.training))
    for name, seconds in zip(VARIANTS, medians(calls), strict=True):
        ROWS.keep("pace", variant=name, seconds=len(store) // len(x) * seconds)


def page() -> None:
    """Write the tables and the picture of what is in questions.json."""
    rows = whole_groups(pd.DataFrame(ROWS.read("runs")), "variant", NEEDED)
    seconds = {row["variant"]: row["seconds"] for row in ROWS.read("pace")}
    rows["epoch"] = rows["variant"].map(seconds)
    tables = [
        f"**{category}**\n\n{seed_table(group, ['variant'], TABLE)}"
        for category, group in rows.groupby("category", sort=False)
    ]
    fill(PAGE, "variants", "\n\n".join(tables))
    fill(ROOT / "README.md", "questions", seed_table(rows, ["variant"], README_TABLE))
    fill(PAGE, "swaps", seed_table(rows[rows["variant"] != "separated"], ["variant"], SWAP_TABLE))
    if long := ROWS.read("long"):
        table = seed_table(pd.DataFrame(long), ["preset", "variant", "epochs"], LONG_TABLE)
        fill(PAGE, "long", table)
    missing = rows.dropna(subset="missing").groupby("variant", sort=False)
    lines = [
        ["as many defects as are seen at all", *(f"{ceiling(CATEGORIES, k):.1f}" for k in range(5))]
    ]
    for name, part in missing:
        by_seed = pd.DataFrame(part["missing"].tolist()).groupby(part["seed"].values).mean()
        lines.append([name, *(spread(by_seed[k]) for k in range(5))])
    fill(PAGE, "missing", markdown(["views missing", *map(str, range(5))], [*lines, *PUBLISHED]))
    worth = rows.dropna(subset="worth").groupby(["category", "variant"], sort=False)["worth"]
    worth = worth.apply(lambda matrices: np.mean(matrices.tolist(), axis=0))
    figure = Figure(figsize=(4.3 * 3, 3.6 * 2), layout="constrained")
    for column, category in zip(figure.subplots(2, 3).T, CATEGORIES, strict=True):
        for ax, (name, matrix) in zip(column, worth[category].items(), strict=True):
            plot.who_helps(matrix, ax, limit=max(map(np.max, worth[category])))
            ax.set_title(f"{category}, {name}", fontsize=10)
    plot.save(figure, PAGE.with_name("who_helps.png"))


def _add_unpublished() -> None:
    """Variants that tell messages from weights, and graphs from sums and means."""
    PRESETS["wide"] = replace(PRESETS["workshop"], hidden=100)
    GRAPHS["wheel_sums"] = lambda views: replace(ViewGraph.wheel(views), weight="sum")
    GRAPHS["cycle_means"] = partial(ViewGraph.cycle, weight="mean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", choices=("all", "train", "pace", "page"), default="all")
    parser.add_argument("--category", nargs="+", choices=CATEGORIES, default=CATEGORIES)
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seed", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    options = parser.parse_args()
    _add_unpublished()
    ROWS.make(options.step, "variant", lambda: train(options), pace, page)


if __name__ == "__main__":
    main()
