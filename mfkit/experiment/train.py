"""The training loop: interrupted at any moment, it continues as if nothing had happened."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import lr_scheduler
from tqdm.auto import tqdm

from mfkit.errors import Diverged, InputError
from mfkit.experiment.checkpoint import Best, Checkpoint
from mfkit.experiment.cross_fit import CrossFitted, deal
from mfkit.experiment.devices import autocast
from mfkit.experiment.evaluation import counting
from mfkit.experiment.settings import Training
from mfkit.features import Split
from mfkit.flow import MultiFlow, Pyramid
from mfkit.score import nll_map

__all__ = ["train"]


def train(
    flow: MultiFlow | Pyramid,
    split: Split,
    training: Training,
    folder: str | Path,
    seed: int = 0,
    apart: CrossFitted | None = None,
) -> pd.DataFrame:
    """Maximise the likelihood of sound features.

    The loss is the mean score of all positions of the views that are present, in nats per channel:
    the negative log-likelihood without its constant, which may be negative. With a foreground it is
    the mean over the positions that show the object, so that it means the same for large and small
    objects (the released code divides by the number of all positions). After every epoch
    `folder/checkpoint.pt` and `folder/history.csv` are replaced. Everything random is drawn from
    (seed, epoch), so a run that was interrupted and called again with the same arguments
    ends with the same weights as one that was not, on the same processor. (A GPU adds up in an
    order of its own, so there the last digits may differ.)

    Arguments:
        flow: on the device to train on; ends in evaluation mode.
        split: sound samples.
        training: the settings.
        folder: where checkpoint and history live; a checkpoint found there is continued.
        seed: of the order of samples and of the noise.
        apart: of this flow and split, for who goes on using it; None: made here if there are folds.

    Returns:
        one row an epoch: epoch (from 1), loss in nats per channel, with folds also "unseen", that
        of the first fold after the epoch, seconds.

    Raises:
        InputError: the checkpoint in `folder` was made with other settings or another flow; too few
            samples for the folds, or folds, linear messages and view dropout at once.
        Diverged: a loss is not finite; the checkpoint of the last whole epoch is kept.
    """
    optimizer = torch.optim.AdamW(
        flow.parameters(),
        lr=training.learning_rate,
        betas=training.betas,
        weight_decay=training.weight_decay,
        fused=True,  # one pass over the weights instead of several
    )
    if training.folds and training.view_dropout and flow.linear:
        raise InputError(
            "'view_dropout' changes what linear messages say in every step, and 'folds' keep it: "
            "do without one of 'view_dropout', 'folds' and 'linear'"
        )
    watched, taught = deal(len(split), training.folds)
    steps = max(1, len(taught) // training.batch)
    schedule = _schedule(optimizer, training, training.epochs * steps)
    identity = {**training.identity(), "seed": seed, "flow": flow.config, **split.identity()}
    parts, best = {"flow": flow, "optimizer": optimizer, "schedule": schedule}, Best(flow)
    if training.folds:
        parts["best"] = best
    checkpoint = Checkpoint(folder, identity, split.formerly(), **parts)
    history = checkpoint.restore()
    done = len(history)
    if not done:
        flow.fit(split[[index]][0] for index in range(len(split)))
    if done > training.epochs:
        raise InputError(
            f"{checkpoint.path} has been trained for {done} epochs already, "
            f"{training.epochs} are asked for: ask for more, or choose another --out"
        )
    if training.folds and apart is None:
        apart = CrossFitted(flow, split, training.folds)
    with tqdm(total=training.epochs * steps, initial=done * steps, desc="training") as bar:
        for epoch in range(done + 1, training.epochs + 1):
            started, losses = time.perf_counter(), []
            for batch in _batches(flow.train(), split, apart, taught, training, seed, epoch):
                loss = _step(flow, optimizer, batch, training)
                losses.append(_finite(loss, epoch, step=len(losses) + 1))
                schedule.step()
                bar.set_postfix(epoch=epoch, nats=f"{losses[-1]:.3f}", refresh=False)
                bar.update()
            row = {"epoch": epoch, "loss": sum(losses) / steps}
            if apart is not None:
                row["unseen"] = _unseen(flow.eval(), split, apart, watched, training)
                best.keep(row["unseen"])
            history.append({**row, "seconds": round(time.perf_counter() - started, 3)})
            checkpoint.save(history)
    best.restore()
    flow.eval()
    return pd.DataFrame(history)


class Batch(NamedTuple):
    """What a step sees, on the device of the flow.

    Attributes:
        x: features (B, V, C, H, W), or what fitted layers made of them.
        log_det: of these layers, (B, V, H, W) in nats; 0 for the features themselves.
        noise: (B, 1, H, W).
        present: (B, V) of bool.
        counts: which positions count, (B, V, H, W) of bool.
        muted: edges that carry no message.
    """

    x: Tensor
    log_det: Tensor
    noise: Tensor
    present: Tensor
    counts: Tensor
    muted: Sequence[tuple[int, int]] = ()


def _batches(
    flow: MultiFlow,
    split: Split,
    apart: CrossFitted | None,
    rows: Tensor,
    training: Training,
    seed: int,
    epoch: int,
) -> Iterator[Batch]:
    """The batches of one epoch, of these rows of the split, in an order of its own.

    The last one is dropped if it is not full, unless it is the only one.
    """
    device = flow.device
    generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    order = rows[torch.randperm(len(rows), generator=generator)].split(training.batch)
    for indices in order:
        if len(indices) < training.batch and len(order) > 1:
            continue
        x, present, foreground = split[indices] if apart is None else (None, *split.shown(indices))
        noise, muted = flow.draw_noise(len(indices), generator), ()
        if training.view_dropout:
            luck = torch.rand(present.shape, generator=generator).masked_fill(~present, -1)
            present = luck >= luck.amax(1, keepdim=True).clamp(max=training.view_dropout)
        if training.message_dropout:
            silent = torch.rand((), generator=generator) < training.message_dropout
            muted = flow.graph.possible_edges if silent else ()
        if apart is None:
            log_det = x.new_zeros(*present.shape, *x.shape[3:])
        else:
            x, log_det = apart(indices, silent=bool(muted))
        counts = counting(present, foreground, log_det)
        yield Batch(*(part.to(device) for part in (x, log_det, noise, present, counts)), muted)


@torch.no_grad()
def _unseen(
    flow: MultiFlow, split: Split, apart: CrossFitted, watched: Tensor, training: Training
) -> float:
    """The loss of samples that blocks did not learn from, in nats per channel."""
    total, counted = 0.0, 0
    for indices in watched.split(training.batch):
        present, foreground = split.shown(indices)
        y, log_det = (part.to(flow.device) for part in apart(indices))
        with autocast(y.device, training.amp):
            z, step = flow(y, present=present, part=slice(flow.first_block, None))
        counts = counting(present, foreground, log_det).to(flow.device)
        total += nll_map(z, log_det + step, counts).sum().item()
        counted += counts.sum().item()
    return total / counted


def _step(
    flow: MultiFlow, optimizer: torch.optim.Optimizer, batch: Batch, training: Training
) -> Tensor:
    """Change the weights by a batch if its loss is finite; the loss."""
    optimizer.zero_grad(set_to_none=True)
    *whole, muted = batch
    total, counted = 0.0, batch.counts.sum()
    part = slice(flow.first_block if training.folds else 0, None)
    parts = (part.split(training.micro_batch or len(part)) for part in whole)
    for x, log_det, noise, present, counts in zip(*parts, strict=True):
        with autocast(x.device, training.amp):
            z, step = flow(x, noise, present, muted, part)
        loss = nll_map(z, log_det + step, counts).sum() / counted
        loss.backward()
        total = total + loss.detach()
    if total.isfinite():
        if training.clip_norm is not None:
            clip_grad_norm_(flow.parameters(), training.clip_norm)
        optimizer.step()
    return total


def _schedule(
    optimizer: torch.optim.Optimizer, training: Training, steps: int
) -> lr_scheduler.LRScheduler:
    """How the learning rate changes from step to step."""
    if training.schedule == "constant":
        return lr_scheduler.ConstantLR(optimizer, factor=1.0)
    rise = 0.2 if steps > 5 else 0.0  # of 5 steps PyTorch's rise has length 0, and it divides by it
    return lr_scheduler.OneCycleLR(
        optimizer, training.learning_rate, steps, pct_start=rise, cycle_momentum=False
    )


def _finite(loss: Tensor, epoch: int, step: int) -> float:
    """The loss as a number, or the end of training."""
    value = loss.item()
    if not torch.isfinite(loss):
        kept = f"the checkpoint of epoch {epoch - 1} is kept; " if epoch > 1 else ""
        raise Diverged(
            f"the loss is {value} in epoch {epoch}, step {step}: {kept}train in another folder "
            "with a smaller learning rate or clipped gradients (`mfkit.Training`)"
        )
    return value
