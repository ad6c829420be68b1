"""How long those wait who only list files: python tests/benchmarks/imports.py (a minute).

Medians of several starts of Python, beside one that does nothing, and whether torch was loaded.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from pages import machine, markdown

ROOT = Path(__file__).parents[2]
TIMES = 7
CHECK = f"['check', '--data', {str(ROOT / 'data' / 'mini-iad')!r}, '--category', 'screw_block']"
STARTS = {
    "nothing": "pass",
    "import mfkit": "import mfkit",
    "python -m mfkit --help": "from mfkit.__main__ import main\ntry: main(['--help'])\n"
    "except SystemExit: pass",
    "python -m mfkit check, one category": f"from mfkit.__main__ import main\nmain({CHECK})",
    "import torch": "import torch",
}


def main() -> None:
    rows = []
    for name, code in STARTS.items():
        told = "import sys\nsys.stderr.write('loaded' if 'torch' in sys.modules else 'spared')"
        command = [sys.executable, "-c", f"{code}\n{told}"]
        seconds, loaded = [], set()
        for _ in range(TIMES):
            start = time.perf_counter()
            run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            seconds.append(time.perf_counter() - start)
            loaded.add(run.stderr.endswith("loaded"))
        rows.append([name, f"{statistics.median(seconds):.2f}", "yes" if any(loaded) else "no"])
    print(markdown(["start", "s", "torch"], rows))
    print(f"Medians of {TIMES}, measured on {machine()}.")


if __name__ == "__main__":
    main()
