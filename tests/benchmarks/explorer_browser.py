"""How long one waits for the explorer in a browser, and whether memory stays flat there.

    OMP_NUM_THREADS=2 python tests/benchmarks/explorer_browser.py [CHANGES]

JupyterLab in headless Chromium, flows of the workshop's size with random weights on pictures of
mini-iad, as in explorer.py. Each change is a click in the page; the time ends when the new picture
is loaded there. Memory is that of the page (JavaScript's heap after a collection, nodes of the
document) and that of the kernel.
"""

import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "browser")]
from lab import Kernel, browse, find_chromium, run_all, serve  # noqa: E402
from pages import markdown  # noqa: E402

CELL = f"""
import gc, sys
sys.path[:0] = ["{HERE.parents[1]}", "{HERE}"]
from explorer import forget, make_latents, resident
from mfkit.explore import LatentExplorer
latents = make_latents()
explorer = LatentExplorer(latents)
explorer
"""
PAUSE = 200  # ms before each click, so that the answer before it has come
CLICK = """([selector, x, y]) => new Promise((resolve, refuse) => {
    const box = [...document.querySelectorAll(".widget-vbox")].find(
        box => box.querySelector(":scope > * > * > .mfkit-picture, .flow-graph"));
    const image = [...box.querySelectorAll(".mfkit-picture img")].at(-1);
    const node = box.querySelector(selector);
    if (!node) return refuse(new Error(`nothing is ${selector}`));
    const start = performance.now();
    image.addEventListener("load", () => resolve(performance.now() - start), { once: true });
    setTimeout(() => refuse(new Error(`no new picture after ${selector}`)), 60000);
    const frame = node.getBoundingClientRect();
    node.dispatchEvent(new MouseEvent("click", { bubbles: true, detail: 1,
        clientX: frame.left + x * frame.width, clientY: frame.top + y * frame.height }));
})"""
PLACES = itertools.cycle([(0.1, 0.2), (0.5, 0.7), (0.8, 0.4), (0.3, 0.9)])
EDGES = itertools.cycle(["0-1", "0-1", "2-1", "2-1", "4-0", "4-0", "3-4", "3-4"])
TILES = itertools.cycle(["5 view 0", "6 view 1", "7 view 2", "8 view 3"])
# what is clicked on, by what a person would say; those before the line find their answers computed
BEFOREHAND = {
    "another part": lambda: ('button[title="the next part"]', 0.5, 0.5),
    "a position in a map": lambda: (f'[data-area="{next(TILES)}"]', *next(PLACES)),
}
NETWORK = {
    "mute a message": lambda: (f'[data-edge="{next(EDGES)}"]', 0.5, 0.5),
    "swap a view at random": lambda: ('[title="one view from a random part"]', 0.5, 0.5),
}


def memory(page, kernel: Kernel) -> tuple[str, str, str]:
    """Of the page: heap in MB, nodes; of the kernel: resident MB."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    found = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    kernel.run("_ = gc.collect()")
    heap, nodes = found["JSHeapUsedSize"] / 1e6, found["Nodes"]
    return f"{heap:.0f}", f"{nodes:.0f}", f"{kernel('resident()'):.0f}"


def measure(page, kernel: Kernel, changes: int) -> None:
    """Click, every fifth time something that the network has to answer; print the tables."""
    taken = {name: [] for name in (*BEFOREHAND, *NETWORK)}
    titles = ("changes", "heap, MB", "nodes", "kernel, MB")
    print(markdown(titles, [("0", *memory(page, kernel))]), flush=True)
    for step in range(1, changes + 1):
        clicks, turn = (NETWORK, step // 5) if step % 5 == 0 else (BEFOREHAND, step)
        name = list(clicks)[turn % 2]
        if clicks is NETWORK:
            kernel.run("forget(latents)")
        elif step % 5 == 1:  # of whole parts everything is known
            kernel.run("explorer.change(muted=(), swapped=())")
        page.wait_for_timeout(PAUSE)
        taken[name].append(page.evaluate(CLICK, clicks[name]()))
        if step % max(changes // 5, 1) == 0:
            print(f"| {' | '.join((str(step), *memory(page, kernel)))} |", flush=True)
    lines = [
        (name, "beforehand" if name in BEFOREHAND else "network", len(times),
         f"{statistics.median(times):.0f}", f"{statistics.quantiles(times, n=20)[-1]:.0f}")
        for name, times in taken.items()
    ]  # fmt: skip
    titles = ("click", "computed", "times", "median, ms", "95 in 100 below, ms")
    print("\n" + markdown(titles, lines))


def main() -> None:
    """Start JupyterLab, open the explorer, click."""
    changes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
        book.metadata.kernelspec = {"display_name": "Python 3", "name": "python3"}
        nbformat.write(book, folder / "tool.ipynb")
        with serve(folder) as address, browse(find_chromium()) as (page, troubles):
            run_all(page, address.format("tool.ipynb"))
            page.locator(".mfkit-picture img").first.wait_for(timeout=900_000)
            time.sleep(1)
            kernel = Kernel(folder / "runtime")
            measure(page, kernel, changes)
            kernel.close()
            if troubles:
                raise SystemExit(f"the page complained: {troubles}")


if __name__ == "__main__":
    main()
