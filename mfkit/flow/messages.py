"""The scale-and-shift network of a coupling, in which views send each other messages."""

import torch
from torch import Tensor, nn

from mfkit.flow.views import ViewGraph

__all__ = ["MESSAGES", "CrossViewNet"]


class CopyMessage(nn.Module):
    """The sender's hidden map as it is: the receiver's convolution does the rest (the paper's)."""

    def __init__(self, hidden: int):
        super().__init__()

    def forward(self, receiver: Tensor, sender: Tensor) -> Tensor:
        """Both (B, hidden, H, W) -> (B, hidden, H, W)."""
        return sender


class AttentionMessage(nn.Module):
    """One-head attention over the H W positions, then ReLU and LayerNorm over the channels.

    Keys and values are the sender's positions. In cross attention the receiver asks, in self
    attention the sender asks itself.
    """

    def __init__(self, hidden: int):
        super().__init__()
        self.attention = nn.MultiheadAttention(hidden, num_heads=1, batch_first=True)
        self.norm = nn.LayerNorm(hidden)

    def attend(self, query: Tensor, sender: Tensor) -> Tensor:
        """Both (B, hidden, H, W) -> (B, hidden, H, W)."""
        height, width = sender.shape[-2:]
        query, sender = (x.flatten(2).transpose(1, 2) for x in (query, sender))  # (B, HW, hidden)
        answer, _ = self.attention(query, sender, sender, need_weights=False)
        return self.norm(answer.relu()).transpose(1, 2).unflatten(2, (height, width))


class CrossAttentionMessage(AttentionMessage):
    """The receiver looks for what matters to it in the sender's map."""

    def forward(self, receiver: Tensor, sender: Tensor) -> Tensor:
        return self.attend(receiver, sender)


class SelfAttentionMessage(AttentionMessage):
    """The sender gathers its own map before it sends it."""

    def forward(self, receiver: Tensor, sender: Tensor) -> Tensor:
        return self.attend(sender, sender)


MESSAGES = {
    "conv": CopyMessage,
    "cross_attention": CrossAttentionMessage,
    "self_attention": SelfAttentionMessage,
}


class CrossViewNet(nn.Module):
    """Predicts scale and shift of every view from what it sees and what its neighbours tell it.

    For view i with neighbours j of the graph and message weights w_i:

        h_i = ReLU(encode_i(x_i))
        o_i = gamma_i * decode_i([h_i, w_i * message(j -> i) for every j])

    `encode_i` and `decode_i` are k x k convolutions with replicate padding. One convolution over
    the stacked maps computes the same as one convolution for each directed edge followed by a sum,
    in fewer and larger calls, the faster with the channels last in memory; its bias belongs to the
    receiver. `gamma` starts at 0, so an
    untrained coupling is the identity.

    Arguments:
        in_channels: channels of x.
        out_channels: channels of o.
        graph: which view hears which.
        hidden: channels of h.
        kernel_size: k, odd.
        message: "conv", "cross_attention" or "self_attention".

    Raises:
        ValueError: no odd kernel size, or an unknown message.

    Source: arXiv 2504.03306; attention messages are ablations of its released code.

    Example:
        >>> net = CrossViewNet(3, 6, ViewGraph.wheel(), hidden=4)
        >>> net(torch.ones(2, 5, 3, 8, 8)).shape
        torch.Size([2, 5, 6, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        graph: ViewGraph,
        hidden: int = 64,
        kernel_size: int = 3,
        message: str = "conv",
    ):
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 != 1:
            raise ValueError(f"'kernel_size' should be odd and positive, got {kernel_size}")
        if message not in MESSAGES:
            raise ValueError(f"'message' should be one of {', '.join(MESSAGES)}, got {message!r}")
        self.graph = graph
        self.out_channels = out_channels
        self.encode = nn.ModuleList(
            _convolution(in_channels, hidden, kernel_size) for _ in range(graph.views)
        )
        self.decode = nn.ModuleList(
            _convolution(hidden * (1 + len(heard)), out_channels, kernel_size, parts=1 + len(heard))
            for heard in graph.neighbours
        )
        kind = MESSAGES[message]
        self.messages = nn.ModuleDict({f"{j}to{i}": kind(hidden) for j, i in graph.edges})
        self.gamma = nn.Parameter(torch.zeros(graph.views))

    def forward(self, x: Tensor, heard: Tensor | None = None) -> Tensor:
        """Scale and shift of all views.

        Arguments:
            x: (B, V, in_channels, H, W).
            heard: see `ViewGraph.weights`; None: every message arrives.

        Returns:
            (B, V, out_channels, H, W).
        """
        weights = self.graph.weights(heard, x.dtype).to(x.device)
        weights = weights[..., None, None, None]  # (B, 1, 1, 1) for an edge
        views = [view.contiguous(memory_format=torch.channels_last) for view in x.unbind(1)]
        hidden = [encode(view).relu() for encode, view in zip(self.encode, views, strict=True)]
        outputs = []
        for i, neighbours in enumerate(self.graph.neighbours):
            told = [
                weights[..., i, j, :, :, :] * self.messages[f"{j}to{i}"](hidden[i], hidden[j])
                for j in neighbours
            ]
            outputs.append(self.gamma[i] * self.decode[i](torch.cat([hidden[i], *told], dim=1)))
        return torch.stack(outputs, dim=1)


def _convolution(inputs: int, outputs: int, kernel_size: int, parts: int = 1) -> nn.Conv2d:
    """A k x k convolution whose weights start as those of `parts` separate default ones would."""
    convolution = nn.Conv2d(
        inputs, outputs, kernel_size, padding=kernel_size // 2, padding_mode="replicate"
    )
    with torch.no_grad():
        convolution.weight *= parts**0.5  # PyTorch's default bound is 1 / sqrt(inputs of the sum)
    return convolution
