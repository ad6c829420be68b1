"""Read weights and values of the released Multi-Flow implementation into a `MultiFlow`.

The files in flow/parity were computed by the released code in float64: see README.md there.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mfkit.flow import CrossViewNet, MultiFlow, ViewGraph

PARITY = Path(__file__).parents[1] / "flow" / "parity"


def load_reference(path: str | Path) -> tuple[MultiFlow, dict[str, np.ndarray]]:
    """Build the flow that a reference file describes.

    Sizes, kernels, edges and the message kind are read off the arrays; only the weight rule is not
    among them and follows from the name: files called `*_sum` add messages, others average.

    Arguments:
        path: an .npz file of the form described in flow/parity/README.md.

    Returns:
        a MultiFlow in float64 and evaluation mode, and the arrays of the file.
    """
    path = Path(path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    views, channels, height, width = arrays["x"].shape[1:]
    blocks = sum(key.endswith("/permutation") for key in arrays)
    encoders = [arrays[f"block{k}/s1/encode/0/weight"] for k in range(blocks)]
    messages = {key.split("/")[3] for key in arrays if key.startswith("block0/s1/message/")}
    edges = sorted(tuple(map(int, name.split("to"))) for name in messages)
    neighbours = [tuple(j for j, i in edges if i == view) for view in range(views)]
    attention = [kind for kind in ("cross_attention", "self_attention") if kind in path.stem]
    flow = MultiFlow(
        channels,
        height,
        width,
        graph=ViewGraph(tuple(neighbours), "sum" if path.stem.endswith("_sum") else "mean"),
        blocks=blocks,
        hidden=encoders[0].shape[0],
        kernel_sizes=[weight.shape[-1] for weight in encoders],
        message=attention[0] if attention else "conv",
    )
    flow = flow.double().eval()
    with torch.no_grad():
        for k in range(blocks):
            permutation, coupling = flow.inn[2 * k], flow.inn[2 * k + 1]
            permutation.permutation.copy_(torch.from_numpy(arrays[f"block{k}/permutation"]))
            for net, name in ((coupling.net1, "s1"), (coupling.net2, "s2")):
                prefix = f"block{k}/{name}/"
                part = {
                    key.removeprefix(prefix): torch.from_numpy(value).double()
                    for key, value in arrays.items()
                    if key.startswith(prefix)
                }
                _fill(net, part)
    return flow, arrays


def _fill(net: CrossViewNet, part: dict[str, Tensor]) -> None:
    """Copy one st-network; the convolutions of all edges into a view become one."""
    net.gamma.copy_(part["gamma"])
    for i, heard in enumerate(net.graph.neighbours):
        net.encode[i].weight.copy_(part[f"encode/{i}/weight"])
        net.encode[i].bias.copy_(part[f"encode/{i}/bias"])
        own = f"own/{i}"
        sent = [f"message/{j}to{i}" for j in heard]
        convolutions = [f"{name}/conv" if f"{name}/conv/weight" in part else name for name in sent]
        weights = [part[f"{name}/weight"] for name in (own, *convolutions)]
        net.decode[i].weight.copy_(torch.cat(weights, dim=1))
        net.decode[i].bias.copy_(part[f"{own}/bias"])
        for j, name, convolution in zip(heard, sent, convolutions, strict=True):
            net.decode[i].bias.add_(net.graph.weights()[i, j] * part[f"{convolution}/bias"])
            if convolution != name:
                message = net.messages[f"{j}to{i}"]
                for key, parameter in message.named_parameters():
                    key = key.replace("attention.", "att/").replace("norm.", "norm/")
                    parameter.copy_(part[f"{name}/{key.replace('.', '/')}"])
