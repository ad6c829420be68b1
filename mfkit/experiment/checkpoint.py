"""The state of a training on disk: written after every epoch, read where it resumes."""

from pathlib import Path

import pandas as pd
import torch
from torch.optim import lr_scheduler

from mfkit.errors import InputError
from mfkit.files import whole_file
from mfkit.flow import MultiFlow


def _write(history: list[dict], folder: Path) -> None:
    with whole_file(folder / "history.csv") as draft:
        pd.DataFrame(history).to_csv(draft, index=False)


def _restore(
    checkpoint: Path,
    settings: dict,
    flow: MultiFlow,
    optimizer: torch.optim.Optimizer,
    schedule: lr_scheduler.LRScheduler,
) -> list[dict]:
    """Load an earlier state into flow, optimizer and schedule; its history."""
    device = next(flow.parameters()).device
    try:
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        earlier = state["settings"]
    except Exception as error:  # torch.load raises almost anything for a file that is not its own
        raise InputError(
            f"{checkpoint} is damaged ({error}): delete it, and training starts from the beginning"
        ) from error
    changed = [key for key, value in settings.items() if earlier.get(key) != value]
    if changed:
        raise InputError(
            f"{checkpoint} was trained with another {' and '.join(changed)}: choose the same "
            "settings, another --out, or delete the folder"
        )
    flow.load_state_dict(state["flow"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return state["history"]
