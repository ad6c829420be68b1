"""Index and check a tree of Real-IAD's full size: 151,050 images of 30 categories, all tiny.

    python tests/benchmarks/index_full_scale.py [--folder DIR]

Writes the tree (hard links to one small image a category), indexes it in a process of its
own, plants ten faults in one category, runs `check` over everything and lists what it found. Exits
with 1 if indexing takes 60 s or 500 MB or if one of the faults is not found.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for room in ("support", "data"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))

from test_check import plant_ten_faults  # noqa: E402
from trees import link, picture, tree  # noqa: E402

from mfkit.data import FLIPS  # noqa: E402
from mfkit.data import TOTALS as PUBLISHED  # noqa: E402
from mfkit.data.check import check  # noqa: E402

SAMPLES = {"train": 7_293, "sound": 7_275, "defective": 15_642}  # as published, of five views each
CODES = ("AK", "BX", "CH", "HS", "PS", "QS", "YW", "ZW")
LIMITS = {"seconds": 60, "megabytes": 500}

INDEX = """
import json, resource, sys, time
start = time.perf_counter()
from mfkit.data import categories, read_category
root = sys.argv[1]
read = [read_category(root, name, views=5) for name in categories(root)]
print(json.dumps({
    "seconds": round(time.perf_counter() - start, 1),
    "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    "categories": len(read),
    "train": sum(len(category.train) for category in read) * 5,
    "test": sum(len(category.test) for category in read) * 5,
}))
"""


def share(total: int, parts: int) -> list[int]:
    """Split a total into nearly equal parts."""
    return [total // parts + (index < total % parts) for index in range(parts)]


def write_tree(root: Path) -> None:
    """Write the 30 categories."""
    counts = {name: share(total, len(FLIPS)) for name, total in SAMPLES.items()}
    for index, category in enumerate(FLIPS):
        picture(root / f"{category}.jpg", camera=3)  # one for each: ext4 links a file 65,000 times
        defective = share(counts["defective"][index], len(CODES))
        tree(
            root,
            category,
            train=counts["train"][index],
            sound=counts["sound"][index],
            codes=dict(zip(CODES, defective, strict=True)),
            hidden=(2, 5) if index % 2 else (2,),
            bar="_" if index % 3 else "",
            jsons="realiad_jsons/realiad_jsons",
            shuffle=index,
            draw=link(root / f"{category}.jpg"),
        )


def cold_caches() -> str:
    """Ask the kernel to forget the tree, so that the disk counts; needs root."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return "dropped"
    except OSError:
        return "kept"


def index(root: Path) -> dict:
    """Index in a process of its own, so that its memory is its own."""
    done = subprocess.run(
        [sys.executable, "-c", INDEX, str(root)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where to write the tree; default: a temporary folder")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        root = Path(folder)
        start = time.perf_counter()
        write_tree(root)
        print(f"tree written in {time.perf_counter() - start:.0f} s", flush=True)

        caches = cold_caches()
        first, second = index(root), index(root)
        print(f"index, caches {caches}: {first}\nindex, again: {second}", flush=True)
        counted = {split: first[split] for split in PUBLISHED}
        fits = counted == PUBLISHED and all(first[name] < LIMITS[name] for name in LIMITS)

        category = next(iter(FLIPS))
        file = root / "realiad_jsons" / "realiad_jsons" / f"{category}.json"
        planted = plant_ten_faults(file, root / "realiad_256" / category)
        start = time.perf_counter()
        report = check(root)
        seconds = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(report)
        print(f"checked, every pixel, in {seconds:.0f} s, {memory:.0f} MB")
        found = [
            any(fault.kind == kind and str(name) in str(fault) for fault in report.faults)
            for kind, name in planted
        ]
        print(f"planted faults found: {sum(found)} of {len(planted)}; index fits: {fits}")
        return int(not (fits and all(found)))


if __name__ == "__main__":
    sys.exit(main())
