"""Where to compute, and in which precision."""

from contextlib import AbstractContextManager

import torch

from mfkit.errors import InputError

__all__ = ["AMP", "autocast", "choose_device"]

AMP = {"bfloat16": torch.bfloat16}
"""What `--amp` may be. It has float32's range, so that no gradient needs scaling."""


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA, else MPS, else the CPU.

    On CUDA, PyTorch's convolutions round to TF32's 10 bits by themselves, and the inverse of a flow
    would be off by thousandths. Here this is switched off: float32 is float32, and whoever wants to
    be faster says so with `amp`.

    Raises:
        InputError: it is not there.
    """
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in here.items() if available)
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or not here.get(device.type, False):
        known = ", ".join(device for device, available in here.items() if available)
        raise InputError(f"--device {name} is not available here; choose auto or {known}")
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device


def autocast(device: torch.device, amp: str | None) -> AbstractContextManager:
    """Convolutions and attention in lower precision inside the block; nothing changes for None.

    Arguments:
        device: on which the flow lies.
        amp: a name of `AMP`, or None.
    """
    return torch.autocast(device.type, AMP[amp or "bfloat16"], enabled=amp is not None)
