"""Noise that is added in training: one map a sample, of which the couplings are told."""

import torch

__all__ = ["NOISES"]

NOISE_SCALE = 20.0  # the st-networks see 20 n, so that a faint noise map is a strong signal


def _simplenet(shape, generator):
    return 0.15 * torch.randn(shape, generator=generator)


def _softflow(shape, generator):
    spread = torch.rand(shape[0], 1, 1, 1, generator=generator)
    return spread**2 * torch.randn(shape, generator=generator)


def _uniform(shape, generator):
    return torch.rand(shape, generator=generator)


def _none(shape, generator):
    return torch.zeros(shape)


NOISES = {"simplenet": _simplenet, "softflow": _softflow, "uniform": _uniform, "none": _none}
"""Kinds of noise: each takes a shape (B, 1, H, W) and a generator."""
