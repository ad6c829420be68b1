"""A fitted model as one file: its weights, and what is needed to build it again."""

import zipfile
from pathlib import Path
from textwrap import shorten

import torch

from mfkit.errors import InputError
from mfkit.files import whole_file
from mfkit.flow.multiflow import MultiFlow
from mfkit.flow.neighbours import Neighbours
from mfkit.flow.pyramid import Pyramid

__all__ = ["Model", "load_flow", "load_state", "save_flow", "save_state"]


Model = MultiFlow | Neighbours | Pyramid
"""What features can be scored with."""


def save_flow(flow: Model, path: str | Path) -> None:
    """Write weights and configuration to one file."""
    save_state({"config": flow.config, "state": flow.state_dict()}, path)


def load_flow(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """Read a flow, or what took its place, that `save_flow` wrote; it is in evaluation mode.

    Raises:
        InputError: no such file, or not a file of `save_flow`.
    """
    try:
        saved = load_state(path, device)
        flow = _built(saved["config"])
        flow.load_state_dict(saved["state"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such model; train one with python -m mfkit run") from None
    except Exception as error:  # torch.load raises almost anything for a file that is not its own
        reason = shorten(str(error), 200)  # PyTorch lists all weights
        raise InputError(f"{path} is not a model written by mfkit: {reason}") from error
    return flow.to(device).eval()


def _built(config: dict) -> Model:
    """The model that a configuration describes, with fresh weights."""
    method = "pyramid" if "flows" in config else config.get("method")
    kinds = {"pyramid": Pyramid, "neighbours": Neighbours}
    return kinds.get(method, MultiFlow).from_config(config)


def load_state(path: str | Path, device: str | torch.device = "cpu") -> dict:
    """Read a file of `save_state`, and no code out of it, once its checksums agree.

    Raises:
        ValueError: it is damaged.
        Exception: it is something else; PyTorch raises almost anything.
    """
    with zipfile.ZipFile(path) as archive:  # PyTorch itself does not compare them
        if (part := archive.testzip()) is not None:
            raise ValueError(f"the checksum of its part {part} differs")
    return torch.load(path, map_location=device, weights_only=True)


def save_state(state: dict, path: str | Path) -> None:
    """Write a file of tensors whole or not at all, without a copy of it in memory."""
    with whole_file(path) as draft, open(draft, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            reason = error.__context__
            while reason is not None:  # PyTorch's writer hides a full disk, and an interruption
                if isinstance(reason, OSError) or not isinstance(reason, Exception):
                    raise reason from None
                reason = reason.__context__
            raise
