"""Steps on a GPU: the plain form beside torch.compile and CUDA graphs, in float32 and bfloat16.

    python tests/benchmarks/speed.py --device cuda               # writes results/speed_cuda.md
    python tests/benchmarks/gpu.py --device cpu --sizes small    # a trial of everything, on a CPU

`compiled` lets torch.compile fuse what lies between the convolutions; `CUDA graphs` also records
forward and backward pass once and replays them (mode "reduce-overhead"), so that small kernels do
not wait for Python. The step is the library's own: loss, gradient, AdamW. The baseline is one
convolution for each directed edge, as on the page of processors.
"""

import argparse
import json
from collections.abc import Callable
from datetime import date

import numpy as np
import torch
from pace import medians, operations
from pages import machine, markdown
from speed import EDGES, PARTS, ROOT, SIZES, passes
from torch import Tensor

from mfkit.experiment import PRESETS, choose_device, new_flow
from mfkit.files import whole_file

PAGE = ROOT / "notebooks" / "results" / "speed_cuda.md"
MODES = {"compiled": "default", "CUDA graphs": "reduce-overhead"}
FORMS = [EDGES, "mfkit", f"mfkit{PARTS}", *(f"mfkit, {mode}" for mode in MODES)]
FORMS += [f"{form}, bfloat16" for form in FORMS]
SMALL = {"small": (2, 5, 16, 4, 4)}


def make(size: str, form: str, device: torch.device) -> tuple[Callable, Callable]:
    """A training step and a scoring pass, to be called without arguments."""
    shape = (SIZES | SMALL)[size]
    torch.manual_seed(0)
    preset = PRESETS["workshop" if size in SMALL else size]
    flow = new_flow(preset, shape[1], shape[2:]).to(device)
    step, score = passes(flow, torch.randn(shape).to(device), form)
    mode = next((MODES[name] for name in MODES if name in form), None)
    if mode:
        flow.compile(mode=mode)
    return step, score


def peak(step: Callable, device: torch.device) -> float:
    """GiB that a step takes beyond weights and moments; NaN where it is not a GPU that counts."""
    if device.type != "cuda":
        return float("nan")
    step()
    idle = torch.cuda.memory_allocated(device)  # gradients are dropped as the step begins
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return (torch.cuda.max_memory_allocated(device) - idle) / 2**30


def rate(dtype: torch.dtype, device: torch.device, n: int = 4096) -> float:
    """Operations a second of a large matrix product, two for each multiply-add."""
    a, b = torch.randn(2, n, n, device=device).to(dtype)
    return 2 * n**3 / medians([lambda: a @ b], rounds=15)[0]


def measure(size: str, device: torch.device, rates: dict[str, float]) -> list[dict]:
    """All forms at one size. They do not take turns: a compiled form would be compiled anew."""
    rows: list[dict] = []
    plain: Tensor | None = None
    for form in FORMS:
        torch.compiler.reset()
        step, score = make(size, form, device)
        nll = score().clone()
        plain = nll if plain is None else plain
        trained, scored = (medians([call], rounds=15)[0] for call in (step, score))
        rows.append(
            {
                "size": size,
                "form": form,
                "step": trained,
                "score": scored,
                "difference": (nll - plain).abs().max().item(),
                "memory": peak(step, device),
            }
        )
        print(rows[-1], flush=True)
    of_step, of_score = map(operations, make(size, "mfkit", device))
    for row in rows:
        flops = rates["bfloat16" if "bfloat16" in row["form"] else "float32"]
        row["step_share"] = of_step / row["step"] / flops
        row["score_share"] = of_score / row["score"] / flops
    return rows


def table(rows: list[dict]) -> str:
    """One size, in Markdown."""
    titles = ["form", "step, ms", "times as fast", "of the machine", "scoring, ms"]
    titles += ["times as fast", "of the machine", "memory of a step, GiB", "difference, nats"]
    first = rows[0]
    return markdown(
        titles,
        [
            [
                row["form"],
                f"{1e3 * row['step']:.2f}",
                f"{first['step'] / row['step']:.2f}",
                f"{row['step_share']:.0%}",
                f"{1e3 * row['score']:.2f}",
                f"{first['score'] / row['score']:.2f}",
                f"{row['score_share']:.0%}",
                "-" if np.isnan(row["memory"]) else f"{row['memory']:.2f}",
                f"{row['difference']:.0e}",
            ]
            for row in rows
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", nargs="+", choices=SIZES | SMALL, default=list(SIZES))
    options = parser.parse_args()
    device = choose_device(options.device)
    n = 4096 if device.type == "cuda" else 256
    rates = {name: rate(getattr(torch, name), device, n) for name in ("float32", "bfloat16")}
    results = {size: measure(size, device, rates) for size in options.sizes}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()
    speeds = ", ".join(f"{value / 1e12:.1f} T in {kind}" for kind, value in rates.items())
    text = ["# Steps on a GPU", "", "```", "python tests/benchmarks/speed.py --device cuda", "```"]
    text += ["", f"{name}, PyTorch {torch.__version__}, {date.today():%d %B %Y}. Operations a "]
    text[-1] += f"second of a large matrix product: {speeds}. float32 is float32: TF32 is off."
    for size, rows in results.items():
        shape = " x ".join(map(str, (SIZES | SMALL)[size]))
        text += ["", f"**{size}**: {shape}", "", table(rows)]
    print("\n".join(text))
    if device.type == "cuda":
        with whole_file(PAGE) as draft:
            draft.write_text("\n".join([*text, ""]))
        with whole_file(PAGE.with_suffix(".json")) as draft:
            draft.write_text(json.dumps({"device": name, "rates": rates, **results}, indent=1))


if __name__ == "__main__":
    main()
