"""How close is the code to what the machine can do? Steps, memory, everything around them, growth.

    python tests/benchmarks/speed.py          # about half an hour; writes the page and its numbers
    python tests/benchmarks/speed.py steps    # a part of it again: steps, around or growth
    python tests/benchmarks/speed.py --device cuda     # the steps on a GPU: see gpu.py

The baseline is the straightforward form of the st-network, one convolution for each directed edge
as in the released layout, written for this comparison. Times are medians of steps that the forms
take in turns; each peak of memory is that of a process of its own. The page of results is
notebooks/results/speed.md, its numbers lie beside it in speed.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from matplotlib.figure import Figure
from pace import medians, operations, training_step
from pages import fill, machine, markdown
from torch import Tensor, nn
from torch.nn import functional as F

from mfkit import plot
from mfkit.data import read_category
from mfkit.experiment import PRESETS, Training, autocast, new_flow
from mfkit.experiment.train import train
from mfkit.features import FeatureStore, Split, load_backbone
from mfkit.files import whole_file
from mfkit.flow import CrossViewNet, MultiFlow, ViewGraph
from mfkit.palette import PALETTE
from mfkit.score import PixelMetrics, nll_map, pixel_map

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "mini-iad"
PAGE = ROOT / "notebooks" / "results" / "speed.md"
SIZES = {"paper": (4, 5, 304, 24, 24), "workshop": (8, 5, 112, 16, 16)}  # B, V, C, H, W
EDGES = "one convolution per edge"
PARTS = ", micro-batches of 1"
FORMS = (EDGES, "mfkit", f"mfkit{PARTS}")
FORMS += tuple(f"{form}, bfloat16" for form in FORMS)


class EdgeNet(CrossViewNet):
    """A convolution for each directed edge, with weights of its own, and a sum."""

    def take_apart(self) -> None:
        """Replace the weights of the fused convolutions by one tensor for each edge."""
        self.kernels = nn.ModuleList()
        for encode, decode in zip(self.encode, self.decode, strict=True):
            parts = decode.weight.detach().split(encode.out_channels, dim=1)
            self.kernels.append(nn.ParameterList([part.clone() for part in parts]))
            decode.weight = None

    def forward(self, x: Tensor, heard: Tensor | None = None) -> Tensor:
        """See `CrossViewNet.forward`; every message arrives."""
        weights = self.graph.weights(dtype=x.dtype)
        hidden = [encode(x[:, i].contiguous()).relu() for i, encode in enumerate(self.encode)]
        outputs = []
        for i, neighbours in enumerate(self.graph.neighbours):
            own, *others = self.kernels[i]
            total = self._decode(i, hidden[i], own)
            for j, kernel in zip(neighbours, others, strict=True):
                total = total + weights[i, j] * self._decode(i, hidden[j], kernel, bias=False)
            outputs.append(self.gamma[i] * total)
        return torch.stack(outputs, dim=1)

    def _decode(self, i: int, x: Tensor, kernel: Tensor, bias: bool = True) -> Tensor:
        x = F.pad(x, [self.decode[i].padding[0]] * 4, mode="replicate")
        return F.conv2d(x, kernel, self.decode[i].bias if bias else None)


def make(size: str, form: str) -> tuple[MultiFlow, tuple[Callable, Callable]]:
    """A flow and its `passes`."""
    torch.manual_seed(0)
    flow = new_flow(PRESETS[size], SIZES[size][1], SIZES[size][2:])
    return flow, passes(flow, torch.randn(SIZES[size]), form)


def passes(flow: MultiFlow, x: Tensor, form: str) -> tuple[Callable, Callable]:
    """A training step and a scoring pass of one form, to be called without arguments."""
    for name, parameter in flow.named_parameters():
        if name.endswith("gamma"):  # at 0, the networks would get no gradient
            nn.init.constant_(parameter, 0.1)
    for module in list(flow.modules()):
        if form.startswith(EDGES) and isinstance(module, CrossViewNet):
            module.__class__ = EdgeNet
            module.take_apart()
    amp = "bfloat16" if "bfloat16" in form else None

    @torch.no_grad()
    def score() -> Tensor:
        with autocast(x.device, amp):
            return nll_map(*flow.eval()(x))

    training = Training(amp=amp, micro_batch=1 if PARTS in form else None)
    return training_step(flow, x, training), score


def rate(dtype: torch.dtype, n: int = 2048) -> float:
    """Operations a second of a large matrix product, two for each multiply-add."""
    a, b = torch.randn(2, n, n).to(dtype)
    return 2 * n**3 / medians([lambda: a @ b], rounds=15)[0]


def steps() -> dict:
    """Times, shares of the machine's rate and peaks of memory of all forms at both sizes."""
    rates = {"float32": rate(torch.float32), "bfloat16": rate(torch.bfloat16)}
    rows = []
    for size in SIZES:
        calls = [make(size, form)[1] for form in FORMS]
        scores = [score() for _, score in calls]
        trained, scored = np.reshape(medians(sum(calls, ())), (-1, 2)).T
        of_step, of_score = map(operations, calls[1])
        for form, nll, step, score in zip(FORMS, scores, trained, scored, strict=True):
            flops = rates["bfloat16" if "bfloat16" in form else "float32"]
            rows.append(
                {
                    "size": size,
                    "form": form,
                    "step": step,
                    "score": score,
                    "step_ratio": trained[0] / step,
                    "score_ratio": scored[0] / score,
                    "step_share": of_step / step / flops,
                    "score_share": of_score / score / flops,
                    "step_operations": of_step,
                    "score_operations": of_score,
                    "difference": (nll - scores[0]).abs().max().item(),
                    "memory": peak(size, form),
                }
            )
            print(rows[-1], flush=True)
    return {"rates": rates, "rows": rows}


def peak(size: str, form: str) -> float:
    """GiB that a step takes beyond weights and moments, in a process of its own.

    Freed memory goes back to the system at once there, so that the peak is what is alive.
    """
    command = [sys.executable, __file__, "--peak", size, form]
    room = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    text = subprocess.run(command, env=room, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(text.splitlines()[-1])


def _peak(size: str, form: str) -> None:
    flow, (step, _) = make(size, form)
    step()
    gradients = sum(4 * parameter.numel() for parameter in flow.parameters())
    idle = psutil.Process().memory_info().rss - gradients  # a step begins by dropping them
    step()
    status = Path("/proc/self/status").read_text()  # getrusage would tell the parent's peak, too
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20 - idle / 2**30)


def around() -> dict:
    """Waiting for data, from images to features, and the metrics of 100,000 maps."""
    category = read_category(DATA, "screw_block")
    with tempfile.TemporaryDirectory() as folder:
        backbone = load_backbone("efficientnet_lite0")
        start = time.perf_counter()
        store = FeatureStore.build(Path(folder) / "train.f16", category.train, backbone)
        features = (time.perf_counter() - start) / (len(store) * store.shape[1])
        flow = new_flow(PRESETS["workshop"], store.shape[1], store.shape[2:])
        waited = []
        read = FeatureStore.__getitem__

        def timed(self, indices):
            start = time.perf_counter()
            x = read(self, indices)
            waited.append(time.perf_counter() - start)
            return x

        FeatureStore.__getitem__ = timed
        training = replace(PRESETS["workshop"].training, epochs=2)
        split = Split(category.train, store)
        history = train(flow, split, training, Path(folder) / "run")
        FeatureStore.__getitem__ = read
    share = sum(waited) / history["seconds"].sum()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # where nothing else is in memory
        streamed = pool.submit(stream).result()
    return {"feature_seconds": features, "waiting_share": share, **streamed}


def stream(maps: int = 100_000, batch: int = 40) -> dict:
    """Seconds a map, and GiB resident after a tenth of the maps and at the end."""
    generator = np.random.default_rng(0)
    metrics, memory = PixelMetrics(), []
    masks = np.zeros((batch, 256, 256), dtype=bool)
    masks[::4, 100:140, 60:90] = True
    start = time.perf_counter()
    for done in range(0, maps, batch):
        nll = torch.from_numpy(generator.normal(size=(batch, 1, 24, 24)).astype(np.float32))
        metrics.update(pixel_map(nll)[:, 0], masks)
        if done in (maps // 10, maps - batch):
            memory.append(psutil.Process().memory_info().rss / 2**30)
    seconds = (time.perf_counter() - start) / maps
    metrics.compute()
    return {"maps": maps, "map_seconds": seconds, "map_memory": memory}


def growth() -> dict:
    """Seconds of a step and of a scoring pass while one size grows and the others stay.

    Exponents are those of the last two sizes: at small ones, fixed costs hide the growth.
    """
    usual = {"samples": 4, "views": 5, "edge of the map": 16, "blocks": 4}
    rows = []
    for name, values in {
        "samples": (1, 2, 4, 8, 16),
        "views": (2, 4, 8, 16),
        "edge of the map": (8, 12, 16, 24, 32),
        "blocks": (1, 2, 4, 8),
    }.items():
        calls = []
        for value in values:
            b, v, edge, k = {**usual, name: value}.values()
            graph, kernels = ViewGraph.wheel(v), [3] * k
            flow = MultiFlow(112, edge, edge, graph, blocks=k, hidden=32, kernel_sizes=kernels)
            calls += passes(flow, torch.randn(b, v, 112, edge, edge), "mfkit")
        trained, scored = np.reshape(medians(calls, rounds=3), (-1, 2)).T
        grown = np.log(values[-1] / values[-2])
        exponents = [np.log(each[-1] / each[-2]) / grown for each in (trained, scored)]
        rows.append(
            {
                "size": name,
                "values": values,
                "step": trained.tolist(),
                "score": scored.tolist(),
                "exponents": [float(each) for each in exponents],
            }
        )
        print(rows[-1], flush=True)
    return {"usual": usual, "rows": rows}


MEASURED = {"steps": steps, "around": around, "growth": growth}


def page(results: dict) -> None:
    """The tables and the picture of the page."""
    rates, rows = results["steps"]["rates"], results["steps"]["rows"]
    fill(
        PAGE,
        "machine",
        f"{results['machine']}, {results['date']}: matrix products of 2048 x 2048 run at "
        f"{rates['float32'] / 1e9:.0f} G operations a second in float32 and at "
        f"{rates['bfloat16'] / 1e9:.0f} G in bfloat16.",
    )
    brief = []
    for size, group in pd.DataFrame(rows).groupby("size", sort=False):
        first = group.iloc[0]
        lines = [
            [
                row.form,
                f"{row.step:.2f}",
                f"{row.step_ratio:.2f}",
                f"{row.step_share:.0%}",
                f"{row.score:.2f}",
                f"{row.score_ratio:.2f}",
                f"{row.score_share:.0%}",
                f"{row.memory:.2f}",
                f"{row.memory / first.memory:.2f}",
                f"{row.difference:.0e}",
            ]
            for row in group.itertuples()
        ]
        brief += [[size, line[0], line[2], line[5], line[8]] for line in lines[1:]]
        titles = ["form", "step, s", "times as fast", "of the machine", "scoring, s"]
        titles += [
            "times as fast",
            "of the machine",
            "memory of a step, GiB",
            "share",
            "difference, nats",
        ]
        operations = f"{first.step_operations / 1e9:.0f} G operations a step, "
        operations += f"{first.score_operations / 1e9:.0f} G a scoring pass"
        shape = " x ".join(map(str, SIZES[size]))
        text = f"**{size}**: {shape}, {operations}\n\n{markdown(titles, lines)}"
        fill(PAGE, size, text)
    titles = [
        "size",
        "form",
        "step, times as fast",
        "scoring, times as fast",
        "share of its memory",
    ]
    fill(ROOT / "README.md", "speed", markdown(titles, brief))
    other = results["around"]
    lines = [
        ["time waiting for features in an epoch", f"{other['waiting_share']:.2%}"],
        ["from JPEG to features, decoding included", f"{1e3 * other['feature_seconds']:.0f} ms"],
        ["pixel metrics of a map of 256 x 256", f"{1e3 * other['map_seconds']:.1f} ms"],
        [
            f"memory after {other['maps'] // 10:,} and {other['maps']:,} maps",
            " and ".join(f"{each:.2f} GiB" for each in other["map_memory"]),
        ],
    ]
    fill(PAGE, "around", markdown(["what", "measured"], lines))
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    for ax, row in zip(figure.subplots(1, 4, sharey=True), results["growth"]["rows"], strict=True):
        for name, colour, exponent in zip(
            ("step", "score"), ("sound", "defective"), row["exponents"], strict=True
        ):
            label = f"{name}, exponent {exponent:.2f}"
            ax.loglog(row["values"], row[name], "o-", color=PALETTE[colour], label=label)
        ax.set_xticks(row["values"], row["values"])
        ax.minorticks_off()
        ax.set_xlabel(row["size"])
        ax.legend(frameon=False)
    figure.axes[0].set_ylabel("seconds")
    plot.save(figure, PAGE.with_name("growth.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", choices=(*MEASURED, "all"), default="all")
    parser.add_argument("--device", default="cpu", help="cuda: steps on a GPU, a page of their own")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device != "cpu":
        command = [sys.executable, Path(__file__).with_name("gpu.py"), "--device", options.device]
        sys.exit(subprocess.run(command, check=False).returncode)
    if options.peak:
        _peak(*options.peak)
        return
    path = PAGE.with_suffix(".json")
    results = {
        **(json.loads(path.read_text()) if path.exists() else {}),
        "command": "python tests/benchmarks/speed.py",
        "date": f"{date.today():%d %B %Y}",
        "machine": f"{machine()}, {torch.get_num_threads()} threads",
        **{
            name: MEASURED[name]()
            for name in MEASURED
            if name in options.part or "all" in options.part
        },
    }
    with whole_file(path) as draft:
        draft.write_text(json.dumps(results, indent=1) + "\n")
    page(results)


if __name__ == "__main__":
    main()
