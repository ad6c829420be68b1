"""What holds on a processor holds on a GPU. Skipped, in words, where there is none.

    python -m pytest tests/experiment/test_cuda.py

Not to the bit: a GPU adds up in an order of its own, which changes from run to run (the gradient of
replicate padding is summed by atomic additions, for which PyTorch has no ordered form). What is
repeated agrees as far as the tests here say.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from reference import PARITY, load_reference
from tiny import awake

from mfkit.experiment import PRESETS, Training, choose_device, new_flow, score_split
from mfkit.experiment.train import Batch, _step, train
from mfkit.features import Split
from mfkit.flow import MultiFlow, ViewGraph
from mfkit.score import nll_map

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no CUDA device here: parity, resumed training, bfloat16 and memory on a GPU are not "
    "tested",
)
VARIANTS = sorted(PARITY.glob("*.npz"))
SHAPE = (3, 6, 4, 4)  # V, C, H, W
TRAINING = Training(epochs=4, batch=4, learning_rate=1e-2, clip_norm=1.0)


@pytest.fixture
def device() -> torch.device:
    return choose_device(DEVICE)  # also switches TF32 off


@pytest.fixture
def split() -> Split:
    """Features that depend on a number that the views share."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(12, 1, 1, 1, 1, generator=generator)
    x = shared + 0.3 * torch.randn(12, *SHAPE, generator=generator)
    return Split([SimpleNamespace(present=(True,) * SHAPE[0])] * len(x), x)


def small(device: torch.device) -> MultiFlow:
    torch.manual_seed(0)
    return MultiFlow(*SHAPE[1:], graph=ViewGraph.wheel(3), blocks=2, hidden=4).to(device)


@pytest.mark.parametrize("path", VARIANTS, ids=lambda path: path.stem)
def test_equals_the_released_implementation_in_float64(path, device):
    flow, arrays = load_reference(path)
    flow = flow.to(device)
    x, noise, foreground = (
        torch.from_numpy(arrays[key]).to(device) for key in ("x", "noise", "foreground")
    )
    with torch.no_grad():
        z, log_det = flow(x, noise)
        back = flow.inverse(z, noise)
    nll = nll_map(z, log_det, foreground)
    for ours, key in ((z, "z"), (log_det, "log_det"), (nll, "score")):
        np.testing.assert_allclose(ours.cpu(), arrays[key], rtol=0, atol=1e-9)
    assert (back - x).abs().max() < 1e-9


def test_scores_in_float32_are_those_of_the_processor(device, split):
    torch.manual_seed(0)
    flow = awake(small(torch.device("cpu")), std=0.3).eval()
    here = score_split(flow, split).scores
    there = score_split(flow.to(device), split).scores
    for ours, theirs in zip(here, there, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_training_that_was_stopped_goes_on(device, split, tmp_path):
    whole = train(small(device), split, TRAINING, tmp_path / "whole")
    train(small(device), split, replace(TRAINING, epochs=2), tmp_path / "stopped")
    first = pd.read_csv(tmp_path / "stopped" / "history.csv")
    resumed = train(small(device), split, TRAINING, tmp_path / "stopped")
    pd.testing.assert_frame_equal(resumed[:2], first)  # the seconds, too: not done again
    np.testing.assert_allclose(resumed["loss"], whole["loss"], rtol=1e-3, atol=1e-3)


def test_the_same_seed_trains_the_same_flow_nearly(device, split, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(small(device), split, TRAINING, tmp_path / name, seed=seed)
    losses = {name: pd.read_csv(tmp_path / name / "history.csv")["loss"] for name in "abc"}
    assert (losses["a"] - losses["b"]).abs().max() < 1e-3
    assert (losses["a"] - losses["c"]).abs().max() > 1e-3


def test_bfloat16_trains_within_a_band_and_scores_stay_float32(device, split, tmp_path):
    """The band: 0.05 nats per channel, several times what it was on processors."""
    losses = {}
    for amp in (None, "bfloat16"):
        flow = small(device)
        history = train(flow, split, replace(TRAINING, epochs=8, amp=amp), tmp_path / str(amp))
        losses[amp] = history["loss"].iloc[-1]
        scores = score_split(flow, split, amp=amp).scores
        assert scores.maps.dtype == torch.float32 and scores.maps.isfinite().all()
    assert abs(losses["bfloat16"] - losses[None]) < 0.05


def test_a_step_takes_the_memory_that_is_foreseen_and_micro_batches_take_less(device):
    """At the workshop's size; the estimate keeps what `mfkit.experiment.cost` says."""
    shape, peaks = (8, 5, 112, 16, 16), {}
    for micro in (None, 1):
        flow = new_flow(PRESETS["workshop"], shape[1], shape[2:]).to(device)
        optimizer = torch.optim.AdamW(flow.parameters(), fused=True)
        x = torch.randn(shape, device=device)
        present = torch.ones(shape[:2], dtype=torch.bool, device=device)
        counts = torch.ones(*shape[:2], *shape[3:], dtype=torch.bool, device=device)
        noise, log_det = flow.draw_noise(len(x)).to(device), x.new_zeros(counts.shape)
        batch = Batch(x, log_det, noise, present, counts)
        training = Training(micro_batch=micro)
        _step(flow.train(), optimizer, batch, training)  # moments are there now
        optimizer.zero_grad(set_to_none=True)
        idle = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        _step(flow, optimizer, batch, training)
        peaks[micro] = torch.cuda.max_memory_allocated(device) - idle
        del flow, optimizer, batch
    weights = sum(p.numel() for p in new_flow(PRESETS["workshop"], 5, shape[2:]).parameters())
    foreseen = 4 * weights + 4 * 7 * 2 * 4 * np.prod(shape)
    assert peaks[None] < 1.3 * foreseen
    assert peaks[1] < 0.6 * peaks[None]
