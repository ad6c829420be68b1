"""The results table of data/README.md: wheel and separated flow on Mini-IAD, three seeds each.

    python tests/benchmarks/mini_iad.py                  # about an hour on two cores
    python tests/benchmarks/mini_iad.py --graphs wheel   # a part of it; parts may run side by side

What is done is not done again. The table appears in data/README.md once all parts are there, its
numbers in data/results.json.
"""

import argparse
import json
import os
from pathlib import Path

import pandas as pd
from pages import fill, machine, markdown, spread

from mfkit.experiment import METRICS, read_results
from mfkit.experiment.run import run
from mfkit.files import whole_file

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "mini-iad"
GRAPHS = {"wheel": "wheel", "empty": "separated"}
SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", nargs="+", choices=GRAPHS, default=list(GRAPHS))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mini-iad")
    options = parser.parse_args()
    for seed in SEEDS:
        for graph in options.graphs:
            run(
                DATA,
                options.out / f"{graph}-{seed}",
                graph=graph,
                seed=seed,
                features=options.out / "features",
            )
    folders = {(g, s): options.out / f"{g}-{s}" for g in GRAPHS for s in SEEDS}
    if not all((folder / "results.json").exists() for folder in folders.values()):
        print("the other graph is still to come: no table yet")
        return
    rows = []
    for (graph, seed), folder in folders.items():
        for category, row in read_results(folder)["categories"].items():
            metrics = {key: 100 * row[key] for key in METRICS}
            rows.append({"category": category, "flow": GRAPHS[graph], "seed": seed, **metrics})
    frame = pd.DataFrame(rows).sort_values(
        ["category", "flow", "seed"], ascending=[True, False, True]
    )
    _write(frame, read_results(folder)["versions"])


def _write(frame: pd.DataFrame, versions: dict) -> None:
    results = {
        "command": "python tests/benchmarks/mini_iad.py",
        "machine": f"{machine()}, {os.cpu_count()} cores",
        "versions": versions,
        "rows": frame.round(2).to_dict("records"),
    }
    with whole_file(ROOT / "data" / "results.json") as draft:
        draft.write_text(json.dumps(results, indent=1))
    rows = [
        [category, flow, *(spread(group[key]) for key in METRICS)]
        for (category, flow), group in frame.groupby(["category", "flow"], sort=False)
    ]
    table = markdown(["category", "flow", *METRICS.values()], rows)
    fill(ROOT / "data" / "README.md", "results", table)
    print(table)


if __name__ == "__main__":
    main()
