"""How much better can the method get at equal cost? The released recipe beside `standardized`.

    python tests/benchmarks/standardized.py          # hours; what is measured is not measured again
    python tests/benchmarks/standardized.py train    # a part of it; several may run side by side
    python tests/benchmarks/standardized.py pace     # again: seconds per epoch of all recipes
    python tests/benchmarks/standardized.py page     # the page from what there is

All recipes train the same flow (the workshop's size, wheel) on the same features of mini-iad with
the same three seeds; only the training differs. Epochs were fixed beforehand. Training times are
epochs times the seconds that `pace` measures with all recipes in turn, as parts that run side by
side slow each other down. The page is notebooks/results/standardized.md, its numbers lie beside it.
"""

import argparse
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from pace import medians, training_step
from pages import Rows, fill, markdown, seed_table, slug, spread, whole_groups

from mfkit.data import DataSet, read_category
from mfkit.experiment import METRICS, PRESETS, Job, Preset, Training, autocast, new_flow
from mfkit.experiment.run_folder import CategoryFolder, FeatureFolder
from mfkit.features import FeatureStore
from mfkit.flow import load_flow
from mfkit.score import mean_scores

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "mini-iad"
RUNS = ROOT / "runs" / "standardized"
BEST = PRESETS["standardized"]
FEATURES = ROOT / "runs" / "mini-iad" / "features" / BEST.backbone
PAGE = ROOT / "notebooks" / "results" / "standardized.md"
CATEGORIES = ("screw_block", "control_knob", "cast_flange")
SEEDS = (0, 1, 2)


def changed(preset: Preset = BEST, **training) -> Preset:
    """A preset with another training."""
    return replace(preset, training=replace(preset.training, **training))


RECIPES = {
    "released": changed(replace(PRESETS["workshop"], training=Training())),
    "workshop": changed(PRESETS["workshop"]),
    "standardized": changed(),
    "standardized, 4 epochs": changed(epochs=4),
    "standardized, 8 epochs": changed(epochs=8),
    "raw features": changed(replace(BEST, standardize=False)),
    "constant rate 1e-3": changed(schedule="constant", learning_rate=1e-3),
    "batches of 8": changed(batch=8),
    "no clipping": changed(clip_norm=None),
    "bfloat16": changed(amp="bfloat16"),
}
TABLE = {"nll": ("test NLL", 3)} | {key: (title, 1) for key, title in METRICS.items()}
ROWS = Rows(
    PAGE.with_suffix(".json"),
    "python tests/benchmarks/standardized.py",
    {"category": CATEGORIES, "recipe": tuple(RECIPES), "seed": SEEDS},
)


def train(options: argparse.Namespace) -> None:
    """Train and measure what is not in standardized.json yet."""
    for category in options.category:
        for seed in options.seed:
            for recipe in options.recipe:
                ROWS.once("runs", measured, category=category, recipe=recipe, seed=seed)


def measured(category: str, recipe: str, seed: int) -> dict[str, float]:
    """Metrics in percent, and nats per channel of the sound test samples."""
    out = RUNS / slug(recipe) / str(seed) / category
    samples = read_category(DATA, category)
    folder, features = CategoryFolder(out), FeatureFolder(FEATURES / category)
    row = Job(samples, DataSet(DATA), RECIPES[recipe], seed, "cpu", folder, features).run()
    sound = [index for index, sample in enumerate(samples.test) if not sample.label]
    x = FeatureStore(features.features("test"))[sound]
    with autocast(x.device, RECIPES[recipe].training.amp):
        nll = mean_scores(load_flow(folder.model), x).mean().item()
    return {"nll": nll, **{name: 100 * row[name] for name in METRICS}}


def pace() -> None:
    """Seconds of an epoch of every recipe: medians of steps, taken in turns."""
    store = FeatureStore(FEATURES / CATEGORIES[0] / "train.f16")
    x = store[:8]
    calls = []
    for settings in RECIPES.values():
        flow = new_flow(settings, x.shape[1], x.shape[2:])
        calls.append(training_step(flow, x[: settings.training.batch], settings.training))
    for (name, settings), seconds in zip(RECIPES.items(), medians(calls), strict=True):
        epoch = len(store) // settings.training.batch * seconds
        ROWS.keep("pace", recipe=name, epoch=epoch, threads=torch.get_num_threads())


def page() -> None:
    """Write the tables of what is in standardized.json."""
    runs = whole_groups(pd.DataFrame(ROWS.read("runs")), "recipe", ("released", "standardized"))
    epoch = {row["recipe"]: row["epoch"] for row in ROWS.read("pace")}
    runs["time"] = [RECIPES[name].training.epochs * epoch[name] for name in runs["recipe"]]
    columns = {**TABLE, "time": ("training, s", 0)}
    for category in (*CATEGORIES, "all"):
        part = runs if category == "all" else runs[runs["category"] == category]
        fill(PAGE, category, seed_table(part, ["recipe"], columns))
    indexed = runs.set_index(["recipe", "category", "seed"]).sort_index()
    first = indexed.loc["released"]
    lines = []
    for name in RECIPES:
        if name == "released" or name not in indexed.index:
            continue
        gain = (indexed.loc[name] - first)[["nll", "s_auroc", "p_aupro"]]
        seed = gain.groupby("seed").mean()
        share = indexed.loc[name, "time"].mean() / first["time"].mean()
        values = [spread(seed["nll"], 3), spread(seed["s_auroc"]), spread(seed["p_aupro"])]
        same = RECIPES[name].training.amp == RECIPES["released"].training.amp
        lines.append([name, *values, f"{share:.2f}" if same else "-"])
    titles = ["recipe", "NLL (lower is better)", "S-AUROC", "AUPRO", "share of its training time"]
    for place in (PAGE, ROOT / "README.md"):
        fill(place, "gains", markdown(titles, lines))
    fill(PAGE, "quality", _time_to_quality(indexed.groupby("recipe")[["nll", "time"]].mean()))


def _time_to_quality(means: pd.DataFrame) -> str:
    """How long the shortest run of `standardized` takes to get where the released recipe ends."""
    goal = means.loc["released"]
    shorter = [name for name in means.index if re.fullmatch(r"standardized(, \d+ epochs)?", name)]
    there = means.loc[shorter].query("nll <= @goal.nll").sort_values("time")
    text = f"The released recipe ends at {goal.nll:.3f} nats per channel after {goal.time:.0f} s."
    if there.empty:
        return f"{text} `standardized` never gets there."
    first = there.iloc[0]
    return (
        f"{text} The shortest run of `standardized` that gets there ({there.index[0]}) ends at "
        f"{first.nll:.3f} after {first.time:.0f} s: {first.time / goal.time:.2f} of its time."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", choices=("all", "train", "pace", "page"), default="all")
    parser.add_argument("--category", nargs="+", choices=CATEGORIES, default=CATEGORIES)
    parser.add_argument("--recipe", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seed", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    options = parser.parse_args()
    ROWS.make(options.step, "recipe", lambda: train(options), pace, page)


if __name__ == "__main__":
    main()
