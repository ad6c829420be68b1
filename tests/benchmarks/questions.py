"""What do the cameras tell each other? All variants, swapped, muted and missing views.

    python tests/benchmarks/questions.py train --category screw_block   # hours; parts side by side
    python tests/benchmarks/questions.py                                # measures what is trained

`train` takes --category, --variant and --seed, so that several processes can share the work; what
is done is not done again. The page of findings is notebooks/results/questions.md, its numbers lie
beside it in questions.json.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from pages import fill, markdown, spread

from mfkit import plot
from mfkit.data import read_category
from mfkit.evaluation import evaluate
from mfkit.features import FeatureStore
from mfkit.files import whole_file
from mfkit.flow import MultiFlow
from mfkit.probe import mean_scores, swap_auroc, who_helps
from mfkit.results import read_results
from mfkit.run import run
from mfkit.train import load_flow

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "mini-iad"
RUNS = ROOT / "runs" / "mini-iad"
PAGE = ROOT / "notebooks" / "results" / "questions.md"
CATEGORIES = ("screw_block", "control_knob", "cast_flange")
SEEDS = (0, 1, 2)
VARIANTS = {
    "empty": {"graph": "empty"},
    "wheel": {"graph": "wheel"},
    "ring": {"graph": "ring"},
    "hub": {"graph": "hub"},
    "chain": {"graph": "chain"},
    "cycle": {"graph": "cycle"},
    "shuffled": {"graph": "shuffled"},
    "cross_attention": {"message": "cross_attention"},
    "self_attention": {"message": "self_attention"},
    "dropout": {"view_dropout": 0.2},
}
TITLES = {
    "empty": "separated",
    "chain": "chain, sums",
    "cycle": "cycle, sums",
    "shuffled": "shuffled wheel",
    "cross_attention": "wheel, cross attention",
    "self_attention": "wheel, self attention",
    "dropout": "wheel, view dropout 0.2",
}
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
LONG_TABLE = {
    "loss": ("training loss", 3),
    "nll": ("test NLL", 3),
    "swap": ("swap AUROC", 1),
    "swap_against": ("minus separated", 1),
    "s_auroc": ("S-AUROC", 1),
}
PUBLISHED = [  # facts of other work, on Real-IAD; GeoMAD is one model for all categories
    ["IDIF on Real-IAD (AAAI 2025)", "97.0", "95.9", "95.7", "95.1", "94.0"],
    ["GeoMAD on Real-IAD (2026)", "91.8", "90.9", "89.1", "85.5", "-"],
]
EPOCHS = (20, 40, 80, 160)  # of the runs that train until nothing is left to gain
SWAPS = 3  # donors of each swapped view
DRAWS = 10  # choices of missing views


class Trained:
    """One finished training run, with the features of its test split."""

    def __init__(self, out: Path, category: str):
        self.out, self.category = out, category
        self.flow = load_flow(out / category / "model.pt")
        self.store = FeatureStore(RUNS / "features" / category / "test.f16")
        self.samples = read_category(DATA, category).test
        sound = [index for index, sample in enumerate(self.samples) if not sample.label]
        self.sound = self.store.read(sound)
        self.row = read_results(out)["categories"][category]

    def numbers(self, separated: MultiFlow) -> dict[str, float]:
        """What the table of variants shows, in percent, nats per channel and seconds."""
        history = pd.read_csv(self.out / self.category / "history.csv")
        keys = ("s_auroc", "s_auroc_mean", "i_auroc", "p_auroc", "p_aupro")
        muted = partial(self.flow, muted=self.flow.graph.possible_edges)
        return {
            "nll": mean_scores(self.flow, self.sound).mean().item(),
            **{key: 100 * self.row[key] for key in keys},
            "swap": 100 * _swap(self.flow, self.sound),
            "swap_against": 100 * _swap(self.flow, self.sound, against=separated),
            "swap_evidence": 100 * _swap(self.flow, self.sound, against=muted),
            "parameters": sum(p.numel() for p in self.flow.parameters()) / 1e6,
            "epoch": history["seconds"].median(),
        }

    def with_missing(self, missing: int) -> float:
        """S-AUROC in percent if every test sample lacks some views, drawn at random."""
        areas = []
        for draw in range(DRAWS if 0 < missing else 1):
            luck = torch.rand(
                len(self.store),
                self.flow.graph.views,
                generator=torch.Generator().manual_seed(draw),
            )
            present = luck.argsort(1).argsort(1) >= missing
            metrics, *_ = evaluate(self.flow, self.store, self.samples, present=present)
            areas.append(100 * metrics["s_auroc"])
        return float(np.mean(areas))


def _swaps(x: torch.Tensor) -> Iterator[tuple[list[int], torch.Generator]]:
    for view in range(x.shape[1]):
        for draw in range(SWAPS):
            yield [view], torch.Generator().manual_seed(draw)


def _swap(flow: MultiFlow, x: torch.Tensor, against: Callable | None = None) -> float:
    """Mean AUROC over the swapped view and its donors."""
    return float(np.mean([swap_auroc(flow, x, *swap, against=against) for swap in _swaps(x)]))


def train(options: argparse.Namespace) -> None:
    """Train what is missing; the long runs come last."""
    shared = {"features": RUNS / "features"}
    for category in options.category:
        for seed in options.seed:
            for name in options.variant:
                out = RUNS / f"{name}-{seed}"
                run(DATA, out, [category], seed=seed, **shared, **VARIANTS[name])
    for name in set(options.variant) & {"empty", "wheel"} if options.long else ():
        for epochs in EPOCHS:
            out = RUNS / f"long-{name}-{epochs}"
            before = RUNS / f"long-{name}-{EPOCHS[max(0, EPOCHS.index(epochs) - 1)]}"
            for file in ("checkpoint.pt", "history.csv"):
                source, target = before / "screw_block" / file, out / "screw_block" / file
                if source != target and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(source.read_bytes())
            run(DATA, out, ["screw_block"], epochs=epochs, **shared, **VARIANTS[name])


def measure() -> None:
    """Read all finished runs, write questions.json and the page."""
    rows, missing, worth = [], [], []
    for category in CATEGORIES:
        for seed in SEEDS:
            if not _done(f"empty-{seed}", category):
                continue
            separated = load_flow(RUNS / f"empty-{seed}" / category / "model.pt")
            for name in VARIANTS:
                if not _done(f"{name}-{seed}", category):
                    continue
                trained = Trained(RUNS / f"{name}-{seed}", category)
                key = {"category": category, "variant": name, "seed": seed}
                rows.append({**key, **trained.numbers(separated)})
                if name in ("empty", "wheel", "dropout"):
                    for count in range(5):
                        missing.append(
                            {**key, "missing": count, "s_auroc": trained.with_missing(count)}
                        )
                if name in ("wheel", "dropout"):
                    matrix = torch.cat([who_helps(trained.flow, x) for x in trained.sound.split(8)])
                    worth.append({**key, "worth": matrix.mean(0).round().tolist()})
                print(key, flush=True)
    long = []
    for epochs in EPOCHS:
        if all(_done(f"long-{name}-{epochs}", "screw_block") for name in ("empty", "wheel")):
            pair = {
                n: Trained(RUNS / f"long-{n}-{epochs}", "screw_block") for n in ("empty", "wheel")
            }
            for name, trained in pair.items():
                history = pd.read_csv(trained.out / "screw_block" / "history.csv")
                key = {"variant": name, "epochs": epochs, "loss": history["loss"].iloc[-1]}
                long.append({**key, **trained.numbers(pair["empty"].flow)})
    results = {
        "command": "python tests/benchmarks/questions.py train --long; "
        "python tests/benchmarks/questions.py",
        "machine": f"{platform.machine()}, one thread",
        "versions": read_results(RUNS / "empty-0")["versions"],
        "variants": pd.DataFrame(rows).round(4).to_dict("records"),
        "missing": pd.DataFrame(missing).round(2).to_dict("records"),
        "long": pd.DataFrame(long).round(4).to_dict("records"),
        "worth": worth,
    }
    with whole_file(PAGE.with_suffix(".json")) as draft:
        draft.write_text(json.dumps(results, indent=1))
    _write(results)


def _write(results: dict) -> None:
    """The tables and the picture of the page."""
    rows = pd.DataFrame(results["variants"])
    tables = [
        f"**{category}**\n\n{_table(group, 'variant', TABLE)}"
        for category, group in rows.groupby("category", sort=False)
    ]
    fill(PAGE, "variants", "\n\n".join(tables))
    fill(PAGE, "swaps", _table(rows[rows["variant"] != "empty"], "variant", SWAP_TABLE))
    fill(PAGE, "long", _table(pd.DataFrame(results["long"]), ["variant", "epochs"], LONG_TABLE))
    missing = pd.DataFrame(results["missing"])
    missing = missing.groupby(["variant", "missing", "seed"], sort=False)["s_auroc"].mean()
    lines = [
        [TITLES.get(name, name), *(spread(part[name, k]) for k in range(5))]
        for name, part in missing.groupby("variant", sort=False)
    ]
    fill(PAGE, "missing", markdown(["views missing", *map(str, range(5))], [*lines, *PUBLISHED]))
    worth = pd.DataFrame(results["worth"]).groupby(["variant", "category"], sort=False)["worth"]
    figure = Figure(figsize=(4.3 * 3, 3.6 * 2), layout="constrained")
    axes = figure.subplots(2, 3)
    for ax, ((name, category), matrices) in zip(axes.flat, worth, strict=False):
        plot.who_helps(np.mean(matrices.tolist(), axis=0), ax)
        ax.set_title(f"{category}, {TITLES.get(name, name)}")
    plot.save(figure, PAGE.with_name("who_helps.png"))


def _table(rows: pd.DataFrame, by: str | list[str], columns: dict[str, tuple[str, int]]) -> str:
    """A line for each group; mean and spread over seeds of the mean over categories."""
    lines = []
    for key, group in rows.groupby(by, sort=False):
        names = [TITLES.get(name, name) for name in (key if isinstance(key, tuple) else (key,))]
        if "seed" in group:
            group = group.groupby("seed").mean(numeric_only=True)
        lines.append([*names, *(spread(group[c], digits) for c, (_, digits) in columns.items())])
    by = [by] if isinstance(by, str) else by
    return markdown([*by, *(title for title, _ in columns.values())], lines)


def _done(run: str, category: str) -> bool:
    return (RUNS / run / category / "model.pt").exists() and category in read_results(RUNS / run)[
        "categories"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", nargs="?", choices=("train", "measure"), default="measure")
    parser.add_argument("--category", nargs="+", choices=CATEGORIES, default=CATEGORIES)
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seed", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--long", action="store_true", help="train the long runs as well")
    options = parser.parse_args()
    if options.command == "train":
        train(options)
    else:
        measure()


if __name__ == "__main__":
    main()
