"""Make Mini-IAD, or check that it is what this recipe makes.

    python data/render/render.py --out DIR [--category NAME ...]    render what is missing
    python data/render/render.py --out DIR --verify 5               render 5 again and compare
    python data/render/render.py --out DIR --object-masks MASKS     where each image shows the part
    python data/render/render.py --out runs/fresh --seed-offset 1   other samples, the same plan
    python data/render/render.py --out runs/more --train 256        more training samples

Every sample follows from its category, code and number (and the offset) alone, so samples can be
rendered in any order, and deleting a folder and running again brings it back. Training samples
beyond those that are shipped get numbers after the sound test samples and change no other: in a
copy of the shipped set only they are rendered.
"""

import argparse
import json
import time
from itertools import chain
from pathlib import Path

import layout
import numpy as np
from PIL import Image
from sample import CATEGORIES, build, forget, plan
from scene import CAMERAS
from scipy.ndimage import gaussian_filter
from truth import object_mask

QUALITY = 90  # of the JPEG files
TOLERANCE = 1.5  # grey levels by which a new image may differ from the shipped one, see `verify`


def picture(sample, camera):
    """The photograph of one camera, as a PIL image."""
    return Image.fromarray(sample.studio.photograph(camera, (sample.seed + camera) % 2**31))


def mask_image(mask):
    """A mask (H, W) as a PIL image, 0 and 255."""
    return Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))


def describe(sample):
    """The row of a built sample in ``samples.csv``; its size is that in the view showing most."""
    row = {
        "category": sample.category,
        "split": sample.split,
        "code": sample.code,
        "folder": layout.folder(sample),
        "seed": sample.seed,
        "cameras": "".join(map(str, sample.masks)),
        "marks": json.dumps(sample.marks),
    }
    if sample.masks:
        best = max(sample.masks, key=lambda camera: sample.masks[camera].sum())
        area = int(sample.masks[best].sum())
        row["size_px"] = area
        row["size_percent"] = f"{100 * area / object_mask(sample.studio, best).sum():.2f}"
    if sample.grade:  # a misfit has none
        row["severity"] = f"{sample.grade.severity:.3f}"
        row["size_mm"] = f"{sample.grade.size:.2f}"
        row["contrast"] = f"{sample.grade.contrast:.2f}"
    return row


def render(root, category, samples):
    """Render what is missing of a category's samples, and write its index."""
    home = Path(root) / layout.FOLDER / category
    rows, start = layout.read_table(root), time.time()
    for count, sample in enumerate(samples, 1):
        files = {camera: home / layout.image_name(sample, camera) for camera in CAMERAS}
        key = (category, layout.folder(sample))
        if key in rows and int(rows[key]["seed"]) != sample.seed:
            raise SystemExit(f"{root} holds samples of another --seed-offset: choose another --out")
        if key in rows and all(path.exists() for path in files.values()):
            continue
        build(sample)
        for camera, mask in sample.masks.items():
            content = layout.encode(mask_image(mask), format="PNG", optimize=True)
            layout.write(files[camera].with_suffix(".png"), content)
        for camera, path in files.items():
            content = layout.encode(
                picture(sample, camera),
                format="JPEG",
                quality=QUALITY,
                optimize=True,
                progressive=True,
            )
            layout.write(path, content)
        rows[key] = describe(sample)
        layout.write_table(root, rows)
        forget(sample)
        minutes = (time.time() - start) / 60
        print(f"{category} {key[1]}: {count} of {len(samples)}, {minutes:.1f} min", flush=True)
    layout.write_index(root, category, samples, rows)


def verify(root, samples, count, seed=0):
    """Render ``count`` random images of a set again; True if all are within the tolerance.

    Paths are traced by several threads, which share out the random numbers anew each time, so the
    grain differs by one to two grey levels. Blurred by 2 pixels it averages out, and what remains
    is what the picture shows: the mean absolute difference of the blurred images is compared.
    """
    rng = np.random.default_rng(seed)
    good = True
    for k in rng.choice(len(samples), count, replace=False):
        sample, camera = build(samples[k]), int(rng.choice(CAMERAS))
        path = Path(root) / layout.FOLDER / sample.category / layout.image_name(sample, camera)
        change = np.asarray(Image.open(path), float) - np.asarray(picture(sample, camera), float)
        difference = np.abs(gaussian_filter(change, (2, 2, 0))).mean()
        mask = sample.masks.get(camera, np.zeros(change.shape[:2], bool))
        file = path.with_suffix(".png")
        stored = np.asarray(Image.open(file)) > 127 if file.exists() else np.zeros_like(mask)
        same = difference <= TOLERANCE and (stored != mask).sum() <= 0.02 * mask.sum() + 2
        forget(sample)
        good &= bool(same)
        print(f"{'same' if same else 'DIFFERENT'} ({difference:.2f} grey levels): {path}")
    return good


def object_masks(samples, target):
    """Write where each image shows the part, as PNG under the image's name."""
    for sample in samples:
        paths = [Path(target) / sample.category / layout.image_name(sample, c) for c in CAMERAS]
        if all(path.with_suffix(".png").exists() for path in paths):
            continue
        build(sample)
        for camera, path in zip(CAMERAS, paths, strict=True):
            content = layout.encode(mask_image(object_mask(sample.studio, camera)), format="PNG")
            layout.write(path.with_suffix(".png"), content)
        forget(sample)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="folder of the data set (data/mini-iad)")
    parser.add_argument("--category", nargs="+", default=CATEGORIES, choices=CATEGORIES)
    parser.add_argument("--verify", type=int, metavar="N", help="re-render N images and compare")
    parser.add_argument("--seed-offset", type=int, default=0, metavar="N", help="other samples")
    parser.add_argument("--train", type=int, metavar="N", help="training samples of a category")
    parser.add_argument("--object-masks", metavar="DIR", help="write the part's own masks there")
    options = parser.parse_args()
    plans = {name: plan(name, options.seed_offset, options.train) for name in options.category}
    if options.verify:
        raise SystemExit(not verify(options.out, [*chain(*plans.values())], options.verify))
    for category, samples in plans.items():
        if options.object_masks:
            object_masks(samples, options.object_masks)
        else:
            render(options.out, category, samples)


if __name__ == "__main__":
    main()
