"""Real-IAD on disk: paths, the JSON index, and ``samples.csv``."""

import csv
import io
import json
import os
from datetime import datetime, timedelta
from pathlib import Path

FOLDER = "realiad_256"
COLUMNS = (
    "category", "split", "code", "folder", "seed", "severity", "size_mm", "contrast",
    "size_px", "size_percent", "cameras", "marks",
)  # fmt: skip


def folder(sample):
    """Folder of a sample below its category: ``OK/S0001`` or ``NG/HS/S0001``."""
    return ("OK" if sample.code == "OK" else f"NG/{sample.code}") + f"/S{sample.number:04d}"


def image_name(sample, camera):
    """File of one image below its category; the time stamp only looks like one."""
    start = datetime(2026, 3, 2, 8) + timedelta(minutes=sample.seed % 40000)
    stamp = (start + timedelta(seconds=2 * camera)).strftime("%Y%m%d%H%M%S")
    kind = "OK" if sample.code == "OK" else f"NG_{sample.code}"
    name = f"{sample.category}_{sample.number:04d}_{kind}_C{camera}_{stamp}.jpg"
    return f"{folder(sample)}/{name}"


def write(path, content):
    """Write bytes under a temporary name, then rename: a file is whole or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def encode(image, **options):
    """A PIL image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def read_table(root):
    """``samples.csv`` as a dict (category, folder) -> row; empty where there is none."""
    path = Path(root) / "samples.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {(row["category"], row["folder"]): row for row in csv.DictReader(file)}


def write_table(root, rows):
    """Write ``samples.csv`` from a dict of rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[key] for key in sorted(rows))
    write(Path(root) / "samples.csv", text.getvalue().encode())


def write_index(root, category, samples, rows):
    """Write ``realiad_jsons/<category>.json``: one entry an image, labelled by what it shows."""
    index = {"meta": {"prefix": f"{category}/", "normal_class": "OK"}, "train": [], "test": []}
    for sample in samples:
        shown = rows[category, folder(sample)]["cameras"]
        for camera in range(1, 6):
            image = image_name(sample, camera)
            seen = str(camera) in shown
            index[sample.split].append(
                {
                    "category": category,
                    "anomaly_class": sample.code if seen else "OK",
                    "image_path": image,
                    "mask_path": image.replace(".jpg", ".png") if seen else None,
                }
            )
    write(Path(root) / "realiad_jsons" / f"{category}.json", json.dumps(index, indent=1).encode())
