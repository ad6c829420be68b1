"""How fast the explorer answers in Python, and whether its memory stays flat.

    OMP_NUM_THREADS=2 python tests/benchmarks/explorer.py

A flow of the workshop's size with random weights (training does not change the time) on pictures of
mini-iad. Every change goes through a control, as from the browser, up to the finished PNG. What a
person waits for is measured by explorer_browser.py.
"""

import gc
import itertools
import os
import statistics
import time
import warnings
from pathlib import Path

import torch
from matplotlib.figure import Figure

warnings.filterwarnings("ignore", category=SyntaxWarning)  # FrEIA's first import on Python 3.12+
from pages import markdown  # noqa: E402

from mfkit.data import read_category  # noqa: E402
from mfkit.explore import LatentExplorer, Latents  # noqa: E402
from mfkit.explore.screens import SCREENS  # noqa: E402
from mfkit.features import Split  # noqa: E402
from mfkit.flow import MultiFlow, ViewGraph  # noqa: E402

DATA = Path(__file__).parents[2] / "data" / "mini-iad"
SHAPE = (5, 112, 16, 16)  # V, C, H, W of the workshop preset
SAMPLES = 24
TIMES = 20
CHANGES = 500


def make_latents() -> Latents:
    """Two flows of the workshop's size, test samples and all training patches."""
    category = read_category(DATA, "screw_block")
    generator = torch.Generator().manual_seed(0)
    flows = {}
    for name, graph in (("separated", ViewGraph.empty(5)), ("wheel", ViewGraph.wheel())):
        flow = MultiFlow(*SHAPE[1:], graph, blocks=4, hidden=32).eval()
        for key, parameter in flow.named_parameters():
            if key.endswith("gamma"):
                torch.nn.init.normal_(parameter, std=0.1, generator=generator)
        flows[name] = flow
    test, train = category.test[:: len(category.test) // SAMPLES][:SAMPLES], category.train
    x, x_train = (torch.randn(len(part), *SHAPE, generator=generator) for part in (test, train))
    return Latents(flows, Split(test, x), Split(train, x_train))


# What is changed, in which panel, and to which values in turn
BEFOREHAND = {
    "another sample": ("maps", "sample", range(SAMPLES)),
    "opacity": ("maps", "opacity", [0.1, 0.9, 0.4]),
    "block": ("gaussian", "block", range(5)),
    "position in the formula": ("terms", "position", [(3, 4), (5, 6), (7, 8)]),
    "threshold and ROC point": ("set", "threshold", [0.6, 0.7, 0.8]),
    "map of agreement": ("maps", "map", ["agreement", "score"]),
    "another model": ("messages", "model", ["separated", "wheel"]),
    "two models, one set": ("set", "against", ["separated", ""]),
}
edges = ViewGraph.wheel().edges
NETWORK = {
    "mute an edge": ("messages", "muted", [(edge,) for edge in edges]),
    "swap a view": ("messages", "swapped", [((1, donor),) for donor in range(1, SAMPLES)]),
    "take a camera away": ("maps", "absent", [(0,), (1, 2), (3,), (0, 4), (2,)]),
    "what the neighbours told": ("position", "sample", range(SAMPLES)),
    "way back": ("way back", "temperature", [t / 10 for t in range(10)]),
    "half of the way": ("way back", "towards", range(1, SAMPLES)),
}


def measure(explorer: LatentExplorer, panel: str, control: str, values) -> tuple[float, float]:
    """Median and longest time of a change in ms."""
    explorer.restore({"panel": panel, "fraction": 0.5 if control == "towards" else 0.0})
    taken = []
    for value in itertools.islice(itertools.cycle(values), TIMES):
        if explorer.state()[control] == value:
            continue
        start = time.perf_counter()
        explorer.controls[control].value = value
        taken.append(1000 * (time.perf_counter() - start))
        assert "role='alert'" not in explorer.parts.words.value, explorer.parts.words.value
    return statistics.median(taken), max(taken)


def forget(latents: Latents) -> None:
    """Empty the stores of answers: every change has to run the network."""
    for name in ("ask", "agrees", "told", "back"):
        getattr(latents, name).cache_clear()


def resident() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(explorer: LatentExplorer) -> list[tuple[str, str, str]]:
    """Resident memory and figures after 0, 100, .. `CHANGES` changes in all panels."""
    rows = []
    for step in range(CHANGES + 1):
        if step % 100 == 0:
            gc.collect()
            figures = sum(type(thing) is Figure for thing in gc.get_objects())
            rows.append((str(step), f"{resident():.0f}", str(figures)))
        panel = list(SCREENS)[step % len(SCREENS)]
        state = {"panel": panel, "sample": step % SAMPLES, "muted": (edges[step % 16],)}
        explorer.restore(state)
    return rows


def main() -> None:
    """Print the tables."""
    start = time.perf_counter()
    latents = make_latents()
    per_flow = (time.perf_counter() - start) / len(latents.flows)
    explorer = LatentExplorer(latents)
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print(f"{SAMPLES} samples computed beforehand: {per_flow:.1f} s a flow\n")
    rows = []
    for kind, changes in (("beforehand", BEFOREHAND), ("network", NETWORK)):
        for name, change in changes.items():
            forget(latents)
            median, longest = measure(explorer, *change)
            rows.append((name, change[0], kind, f"{median:.0f}", f"{longest:.0f}"))
    print(markdown(("change", "panel", "computed", "median, ms", "longest, ms"), rows))
    print("\n" + markdown(("changes", "memory, MB", "figures"), memory(explorer)))


if __name__ == "__main__":
    main()
