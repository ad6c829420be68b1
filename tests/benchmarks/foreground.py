"""How well `object_mask` finds the parts of mini-iad: intersection over union with the truth.

    python data/render/render.py --out data/mini-iad --object-masks runs/object-masks
    python tests/benchmarks/foreground.py runs/object-masks

The first command asks the renderer where each image shows the part; it may be stopped at any time,
and the second one takes the masks that are there. Holes of the part are not in the renderer's
masks, but `object_mask` fills them, as the paper does.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mfkit.data import read_image, read_mask
from mfkit.features import object_mask

IMAGES = Path(__file__).parents[2] / "data" / "mini-iad" / "realiad_256"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("masks", type=Path, help="folder that render.py wrote")
    rows = []
    folder = parser.parse_args().masks
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder)
        image, truth = read_image((IMAGES / name).with_suffix(".jpg")), read_mask(path)
        start = time.perf_counter()
        mask = object_mask(image, margin=0)
        seconds = time.perf_counter() - start
        overlap = (mask & truth).sum() / (mask | truth).sum()
        rows.append({"category": name.parts[0], "iou": overlap, "ms": 1e3 * seconds})
    table = pd.DataFrame(rows).groupby("category")
    shown = table["iou"].describe()[["count", "mean", "min"]].assign(ms=table["ms"].mean())
    print(shown.round(3).to_string())
    print(f"mean of all images: {np.mean([row['iou'] for row in rows]):.3f}")


if __name__ == "__main__":
    main()
