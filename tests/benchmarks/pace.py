"""How long things take, and how many operations: shared by the benchmarks."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mfkit.experiment import Training
from mfkit.experiment.train import Batch, _step
from mfkit.flow import MultiFlow


def medians(calls: Sequence[Callable], rounds: int = 5) -> list[float]:
    """Seconds of each call; they take turns, after one round to warm up."""
    seconds = np.zeros((rounds + 1, len(calls)))
    for row in seconds:
        for column, call in enumerate(calls):
            start = time.perf_counter()
            call()
            if torch.cuda.is_available():  # a GPU is still at work when a call returns
                torch.cuda.synchronize()
            row[column] = time.perf_counter() - start
    return np.median(seconds[1:], axis=0).tolist()


def training_step(flow: MultiFlow, x: Tensor, training: Training) -> Callable:
    """A step of `mfkit.train` on features (B, V, C, H, W), to be called without arguments."""
    optimizer = torch.optim.AdamW(flow.parameters(), training.learning_rate, fused=True)
    present = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    counts = torch.ones(*x.shape[:2], *x.shape[3:], dtype=torch.bool, device=x.device)
    noise, log_det = flow.draw_noise(len(x)).to(x.device), x.new_zeros(counts.shape)
    batch = Batch(x, log_det, noise, present, counts)
    return lambda: _step(flow.train(), optimizer, batch, training)


def operations(call: Callable) -> int:
    """Of one call, two for each multiply-add of a matrix product or convolution."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()
