"""Where to compute, and in which precision."""

from contextlib import AbstractContextManager

import torch

from mfkit.files import InputError

__all__ = ["AMP", "autocast", "choose_device"]

AMP = {"bfloat16": torch.bfloat16}
"""What `--amp` may be. It has float32's range, so that no gradient needs scaling."""


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA, else MPS, else the CPU.

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
    if not here.get(name.split(":")[0], False):
        known = ", ".join(device for device, available in here.items() if available)
        raise InputError(f"--device {name} is not available here; choose auto or {known}")
    return torch.device(name)


def autocast(device: torch.device, amp: str | None) -> AbstractContextManager:
    """Convolutions and attention in lower precision inside the block; nothing changes for None.

    Arguments:
        device: on which the flow lies.
        amp: a name of `AMP`, or None.
    """
    return torch.autocast(device.type, AMP[amp or "bfloat16"], enabled=amp is not None)
