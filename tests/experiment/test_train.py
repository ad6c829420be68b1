"""Training continues as if nothing had happened, and stops before it spoils anything."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mfkit.errors import Diverged, InputError
from mfkit.experiment import Training
from mfkit.experiment.train import train
from mfkit.features import FeatureStore, Split
from mfkit.flow import MultiFlow, ViewGraph, load_flow, save_flow

SHAPE = (12, 3, 6, 4, 4)
TRAINING = Training(epochs=4, batch=4, learning_rate=1e-2, clip_norm=1.0)

RUNNER = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import torch
from test_train import TRAINING, new_flow, stored
from mfkit.experiment.train import train

step, calls = torch.optim.AdamW.step, []

def deadly(self):
    calls.append(1)
    if len(calls) == {kill_at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self)

torch.optim.AdamW.step = deadly
torch.set_num_threads(1)
train(new_flow(), stored({path!r}), TRAINING, {folder!r})
"""


def new_flow(**options) -> MultiFlow:
    torch.manual_seed(0)
    return MultiFlow(*SHAPE[2:], graph=ViewGraph.wheel(3), **{"blocks": 2, "hidden": 4, **options})


def stored(path: str | Path) -> Split:
    """Features in a store; of a sample training only asks which views are present."""
    store = FeatureStore(path)
    return Split([SimpleNamespace(present=(True,) * SHAPE[1])] * len(store), store)


@pytest.fixture
def split(tmp_path) -> Split:
    """Features that depend on a number that the views share."""
    path = tmp_path / "f.f16"
    random = np.random.default_rng(0)
    shared = random.normal(size=(SHAPE[0], 1, 1, 1, 1))
    path.write_bytes((shared + random.normal(0, 0.3, SHAPE)).astype(np.float16).tobytes())
    path.with_suffix(".json").write_text(json.dumps({"shape": SHAPE, "fingerprint": "made up"}))
    return stored(path)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["flow"]


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_the_loss_falls_and_the_history_tells(split, tmp_path):
    flow = new_flow()
    history = train(flow, split, Training(epochs=15, batch=4, learning_rate=1e-2), tmp_path / "a")
    assert history["epoch"].tolist() == list(range(1, 16))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] - 0.1
    assert not flow.training
    on_disk = pd.read_csv(tmp_path / "a" / "history.csv")
    pd.testing.assert_frame_equal(on_disk, history)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(split, tmp_path):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(new_flow(), split, TRAINING, tmp_path / folder, seed=seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_the_global_random_state_does_not_matter(split, tmp_path):
    train(new_flow(), split, TRAINING, tmp_path / "a")
    flow = new_flow()
    torch.rand(7)
    train(flow, split, TRAINING, tmp_path / "b")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


@pytest.mark.parametrize(
    ("options", "change"),
    [({}, {}), ({"standardize": True}, {"schedule": "one_cycle"})],
    ids=["released recipe", "standardized, one cycle"],
)
def test_ctrl_c_between_two_steps(split, tmp_path, monkeypatch, options, change):
    training = replace(TRAINING, **change)
    train(new_flow(**options), split, training, tmp_path / "whole")
    step, calls = torch.optim.AdamW.step, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 8:  # in the third epoch of three steps each
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(new_flow(**options), split, training, tmp_path / "a")
    assert len(pd.read_csv(tmp_path / "a" / "history.csv")) == 2
    history = train(new_flow(**options), split, training, tmp_path / "a")
    assert len(history) == 4
    assert same(weights(tmp_path / "a"), weights(tmp_path / "whole"))


def test_kill_9_in_the_middle(split, tmp_path):
    """A real process, really killed in its first and in its third epoch (of three steps each)."""

    def start(folder, kill_at):
        code = RUNNER.format(
            tests=str(Path(__file__).parent),
            path=str(split.features.path),
            folder=str(tmp_path / folder),
            kill_at=kill_at,
        )
        command = [sys.executable, "-c", code]
        return subprocess.run(command, stderr=subprocess.PIPE, check=False).returncode

    assert start("whole", kill_at=0) == 0
    assert start("killed", kill_at=2) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()
    assert start("killed", kill_at=8) == -signal.SIGKILL
    assert len(pd.read_csv(tmp_path / "killed" / "history.csv")) == 2
    assert start("killed", kill_at=0) == 0
    assert len(pd.read_csv(tmp_path / "killed" / "history.csv")) == 4
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    split, tmp_path, monkeypatch
):
    read, calls, flow = FeatureStore.__getitem__, [], new_flow()

    def poisoned(self, indices):
        calls.append(1)
        return read(self, indices) * (1e30 if len(calls) == 8 else 1)

    monkeypatch.setattr(FeatureStore, "__getitem__", poisoned)
    with pytest.raises(
        Diverged, match=r"the loss is (nan|inf) in epoch 3, step 2: the checkpoint of epoch 2"
    ):
        train(flow, split, TRAINING, tmp_path / "a")
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path / "a").values())
    assert all(weight.isfinite().all() for weight in flow.parameters())
    assert len(pd.read_csv(tmp_path / "a" / "history.csv")) == 2


def test_more_epochs_continue_and_fewer_are_refused(split, tmp_path):
    train(new_flow(), split, TRAINING, tmp_path / "a")
    longer = Training(**{**TRAINING.__dict__, "epochs": 6})
    assert len(train(new_flow(), split, longer, tmp_path / "a")) == 6
    with pytest.raises(InputError, match="trained for 6 epochs already, 4 are asked for"):
        train(new_flow(), split, TRAINING, tmp_path / "a")


def test_one_cycle_rises_and_falls_and_has_a_fixed_length(split, tmp_path, monkeypatch):
    step, rates = torch.optim.AdamW.step, []

    def watched(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    cycle = replace(TRAINING, schedule="one_cycle", epochs=5)
    train(new_flow(), split, cycle, tmp_path / "a")
    assert len(rates) == 15 and max(rates) == rates[2] == pytest.approx(TRAINING.learning_rate)
    assert rates[:3] == sorted(rates[:3]) and rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 1e-3 * TRAINING.learning_rate
    with pytest.raises(InputError, match="trained with another epochs"):
        train(new_flow(), split, replace(cycle, epochs=6), tmp_path / "a")
    for steps in range(1, 8):
        rates.clear()
        train(new_flow(), split, replace(cycle, epochs=steps, batch=50), tmp_path / str(steps))
        assert len(rates) == steps and max(rates) <= TRAINING.learning_rate


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        ({"epochs": 0}, "at least 1"),
        ({"batch": 0}, "at least 1"),
        ({"learning_rate": 0}, "positive"),
        ({"schedule": "cosine"}, "constant or one_cycle"),
        ({"clip_norm": -1}, "positive or None"),
        ({"view_dropout": 1.0}, "from 0 on and less than 1"),
        ({"amp": "float16"}, "bfloat16 or None"),
        ({"micro_batch": 0}, "from 1 on or None"),
    ],
)
def test_impossible_training_is_refused(option, rule):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=re.escape(f"'{name}' should be {rule}, got {value!r}")):
        Training(**option)


def test_standardized_features_are_those_of_the_training_split(split, tmp_path):
    flow = new_flow(standardize=True)
    train(flow, split, TRAINING, tmp_path / "a")
    mean = split.features[:].mean((0, 3, 4)).T
    torch.testing.assert_close(flow.inn[0].mean[..., 0, 0], mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"learning_rate": 1e-3}, "learning_rate"), ({"batch": 2}, "batch")],
)
def test_a_checkpoint_of_other_settings_is_not_continued(split, tmp_path, change, named):
    train(new_flow(), split, TRAINING, tmp_path / "a")
    other = Training(**{**TRAINING.__dict__, **change})
    with pytest.raises(InputError, match=f"trained with another {named}"):
        train(new_flow(), split, other, tmp_path / "a")


def test_a_model_is_no_checkpoint(split, tmp_path):
    save_flow(new_flow(), tmp_path / "a" / "checkpoint.pt")
    with pytest.raises(InputError, match=r"checkpoint.pt is damaged .* delete it"):
        train(new_flow(), split, TRAINING, tmp_path / "a")


def test_an_end_between_checkpoint_and_history_loses_no_row(split, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(new_flow(), split, Training(epochs=1, batch=4), tmp_path / "a")
    history = train(new_flow(), split, Training(epochs=1, batch=4), tmp_path / "a")
    assert len(pd.read_csv(tmp_path / "a" / "history.csv")) == len(history) == 1


def test_a_checkpoint_of_another_flow_is_not_continued(split, tmp_path):
    train(new_flow(), split, TRAINING, tmp_path / "a")
    with pytest.raises(InputError, match="another flow"):
        train(new_flow(hidden=6), split, TRAINING, tmp_path / "a")


def test_fewer_samples_than_a_batch_make_one_step(split, tmp_path):
    training = Training(epochs=1, batch=50)
    assert np.isfinite(train(new_flow(), split, training, tmp_path / "a")["loss"]).all()


def test_the_last_incomplete_batch_is_dropped(split, tmp_path, monkeypatch):
    sizes = []
    read = FeatureStore.__getitem__
    monkeypatch.setattr(
        FeatureStore, "__getitem__", lambda s, at: sizes.append(len(at)) or read(s, at)
    )
    train(new_flow(), split, Training(epochs=1, batch=5), tmp_path / "a")
    assert sizes == [5, 5]


def test_a_saved_flow_is_the_same_flow(split, tmp_path):
    flow = new_flow(message="cross_attention", seed=3, noise="none")
    train(flow, split, TRAINING, tmp_path / "a")
    save_flow(flow, tmp_path / "model.pt")
    again = load_flow(tmp_path / "model.pt")
    x = split.features[:]
    assert torch.equal(again(x)[0], flow(x)[0])
    assert again.graph == flow.graph


def test_files_that_are_no_models_are_named(tmp_path):
    with pytest.raises(InputError, match="no such model"):
        load_flow(tmp_path / "model.pt")
    (tmp_path / "model.pt").write_text("hello")
    with pytest.raises(InputError, match="is not a model written by mfkit"):
        load_flow(tmp_path / "model.pt")
