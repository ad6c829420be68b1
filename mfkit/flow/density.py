"""What follows from a way there and a way back alone: the log-density, and samples."""

import math
from itertools import chain

import torch
from torch import Tensor, nn

__all__ = ["Density"]


class Density(nn.Module):
    """An exact density of feature maps, by `forward` and `inverse` of what derives from it.

    Attributes:
        shape: (V, C, H, W).
    """

    shape: tuple[int, int, int, int]

    @property
    def device(self) -> torch.device:
        """Where weights and constants lie."""
        return next(chain(self.parameters(), self.buffers())).device

    def log_prob(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Exact joint log-density of the views of a sample that are present, at n = 0.

        Arguments:
            x: (B, V, C, H, W).
            present: (B, V) of bool; None: all are.

        Returns:
            (B,) in nats, with the constant -1/2 log(2 pi) of every dimension of a present view.
        """
        no_noise = x.new_zeros(x.shape[0], 1, *x.shape[3:])
        z, log_det = self(x, no_noise, present)
        views = x.shape[1] if present is None else present.sum(1).to(z.device)
        constant = 0.5 * math.log(2 * math.pi) * z.shape[2:].numel() * views
        return log_det.flatten(1).sum(1) - 0.5 * z.square().flatten(1).sum(1) - constant

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw features from the flow, at n = 0.

        Arguments:
            n: number of samples.
            temperature: standard deviation of the latents.
            generator: on the CPU; None takes PyTorch's global one.

        Returns:
            (n, V, C, H, W).
        """
        like = next(chain(self.parameters(), self.buffers()))
        z = torch.randn(n, *self.shape, generator=generator, dtype=like.dtype)
        return self.inverse(temperature * z.to(like.device))
