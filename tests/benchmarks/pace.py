"""How long things take, and how many operations: shared by the benchmarks."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mfkit.devices import autocast
from mfkit.flow import MultiFlow
from mfkit.score import nll_map


def medians(calls: Sequence[Callable], rounds: int = 5) -> list[float]:
    """Seconds of each call; they take turns, after one round to warm up."""
    seconds = np.zeros((rounds + 1, len(calls)))
    for row in seconds:
        for column, call in enumerate(calls):
            start = time.perf_counter()
            call()
            row[column] = time.perf_counter() - start
    return np.median(seconds[1:], axis=0).tolist()


def training_step(
    flow: MultiFlow, x: Tensor, amp: str | None = None, micro_batch: int | None = None
) -> Callable:
    """One step of AdamW on features (B, V, C, H, W), to be called without arguments."""
    optimizer = torch.optim.AdamW(flow.parameters(), lr=2e-4, weight_decay=1e-5)

    def step() -> None:
        flow.train()
        optimizer.zero_grad(set_to_none=True)
        for part in x.split(micro_batch or len(x)):
            with autocast(x.device, amp):
                z, log_det = flow(part)
            (nll_map(z, log_det).mean() * len(part) / len(x)).backward()
        optimizer.step()

    return step


def operations(call: Callable) -> int:
    """Of one call, two for each multiply-add of a matrix product or convolution."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()
