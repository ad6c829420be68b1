"""What Multi-Flow has to be better than, against figures that were measured without this library.

    python tests/benchmarks/opponents.py     # minutes, most of them for features, which stay

Gaussian and nearest neighbours on the plain categories of mini-iad, by the same command as a flow.
The reference figures were computed before, by other code, on the same features: a covariance shrunk
as `mfkit.Whiten` says, and the distance to the nearest of all training patches. Exit code 1 if one
of ours is farther off than float16 features and float32 sums can explain.
"""

import argparse
import sys
from pathlib import Path

from pages import markdown

from mfkit.experiment.run import run

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "mini-iad"
COLUMNS = ("nll", "s_auroc", "s_auroc_mean", "i_auroc", "p_auroc", "p_ap", "p_aupro")
REFERENCE = {  # nats per channel, then percent
    "gaussian": {
        "screw_block": (0.975, 94.9, 87.9, 90.9, 98.5, 39.4, 90.8),
        "control_knob": (0.957, 89.3, 85.9, 84.7, 97.6, 49.4, 78.9),
        "cast_flange": (0.981, 90.2, 86.1, 78.7, 94.2, 24.9, 66.5),
    },
    "neighbours": {
        "screw_block": (None, 85.9, 71.5, 80.4, 97.1, 35.1, 88.2),
        "control_knob": (None, 87.8, 80.8, 82.8, 96.7, 47.7, 75.4),
        "cast_flange": (None, 83.9, 82.1, 76.0, 92.5, 26.1, 62.1),
    },
}
NEAR = {"nll": 0.002}
POINTS = 0.3  # percent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="+", choices=REFERENCE, default=list(REFERENCE))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "opponents")
    parser.add_argument("--features", type=Path, default=ROOT / "runs" / "demo" / "features")
    options = parser.parse_args()
    rows, worst = [], 0.0
    for method in options.method:
        known = REFERENCE[method]
        results = run(
            DATA,
            options.out / method,
            list(known),
            "standardized",
            method=method,
            features=options.features,
        )
        for category, figures in known.items():
            row, cells = results["categories"][category], []
            for name, expected in zip(COLUMNS, figures, strict=True):
                if expected is None:
                    cells.append("-")
                    continue
                ours = row[name] if name in NEAR else 100 * row[name]
                worst = max(worst, abs(ours - expected) / NEAR.get(name, POINTS))
                cells.append(f"{ours:.4g} ({expected:.4g})")
            rows.append([method, category, *cells, row["seconds"]["training"]])
    print(markdown(["method", "category", *(f"{name} (reference)" for name in COLUMNS), "s"], rows))
    print(f"largest difference: {worst:.2f} of what is allowed")
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
