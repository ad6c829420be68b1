"""One program from pictures to verdicts, that runs without mfkit: for PyTorch, or as ONNX."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mfkit.data import fit_image
from mfkit.errors import InputError
from mfkit.files import whole_file
from mfkit.inspection.scorer import Pictures, PictureScorer
from mfkit.score import Scores, Usual, nll_map, p_values

__all__ = ["FORMATS", "TOLERANCE", "PictureProgram", "export_program", "output_names"]

TOLERANCE = 1e-4  # nats per channel by which an exported program may differ
MOVED = 0.03  # of all features that may fall to the other of two steps of float16
SUMS = 1e-5  # of the largest feature: by which sums in another order may differ
OPSET = 20  # of ONNX


class PictureProgram(nn.Module):
    """Pictures in, scores and p-values out: what a `PictureScorer` computes, as one module.

    Arguments:
        scorer: whose model takes part; every view must be present.
        shows_features: hand out what the backbone sees, too.
    """

    def __init__(self, scorer: PictureScorer, shows_features: bool = False):
        super().__init__()
        self.shows_features = shows_features
        description = scorer.description
        self.flow, self.backbone = scorer.flow, scorer.backbone
        self.flips = [camera.flip for camera in description.cameras]
        self.agrees = description.usual is not None
        if self.agrees:
            self.register_buffer("mean", description.usual.mean)
            self.register_buffer("spread", description.usual.spread)
        held = description.held_out
        self.register_buffer("unseen", None if held is None else held.both())

    def forward(self, images: Tensor, foreground: Tensor | None = None) -> tuple[Tensor, ...]:
        """What the model says of B parts.

        Arguments:
            images: (B, V, size, size, 3) uint8, RGB, as the cameras took them, in their order.
            foreground: (B, V, H, W) of bool, for a model that was trained on the foreground: the
                positions that show the object as the flow sees it, some in every view.

        Returns:
            maps (B, V, H, W), image scores (B, V), sample scores (B,) in nats per channel; p-values
            (B,), if samples were held out; agreement (B,), if the model knows it; features, if
            asked for.
        """
        views = [
            images[:, view].flip(2) if flip else images[:, view]
            for view, flip in enumerate(self.flips)
        ]
        pixels = torch.stack(views, 1).flatten(0, 1).permute(0, 3, 1, 2).float()
        backbone = self.backbone
        x = backbone.layers((pixels - backbone.mean) / backbone.std).half().float()
        x = x.unflatten(0, images.shape[:2])
        scales = self.flow.scales(x)
        scores = Scores.of(scales, foreground)
        outputs, both = list(scores), [scores.samples]
        if self.agrees:
            alone = nll_map(*self.flow(x, muted=self.flow.graph.possible_edges))
            apart = nll_map(*self.flow.fold(scales)) - alone
            # as `Agreement.of`, without its checks
            unusual = Usual(self.mean, self.spread).units(apart)
            if foreground is not None:
                unusual = unusual.masked_fill(~foreground, -torch.inf)
            both.append(unusual.flatten(1).amax(1))
        if self.unseen is not None:
            outputs.append(p_values(torch.stack(both, 1), self.unseen))
        return (*outputs, *both[1:], *([x] if self.shows_features else []))


def output_names(program: PictureProgram) -> list[str]:
    """What the program's outputs are called."""
    names = ["maps", "image_scores", "sample_scores"]
    names += ["p_values"] if program.unseen is not None else []
    names += ["agreement"] if program.agrees else []
    return [*names, "features"] if program.shows_features else names


def export_program(
    scorer: PictureScorer, path: str | Path, parts: Sequence[Pictures], form: str = "pt2"
) -> Path:
    """Write a model from pictures to p-values as one file, and compare it with `scorer` itself.

    Arguments:
        scorer: on the CPU.
        path: of the file.
        parts: at least two parts that show every view, on which the two are compared: all
            together, and the first by itself.
        form: a name of `FORMATS`.

    Raises:
        InputError: an unknown form, the model cannot be written in it, or it gives other scores.
    """
    if form not in FORMATS:
        raise InputError(f"--format should be one of {', '.join(FORMATS)}, got {form!r}")
    program, size = PictureProgram(scorer, form == "onnx").eval(), scorer.backbone.size
    inputs = [
        torch.from_numpy(
            np.stack([[fit_image(view, size) for view in part.views] for part in parts])
        )
    ]
    foreground = scorer.foreground(parts)
    inputs += [] if foreground is None else [foreground]
    with whole_file(path) as draft:
        run = FORMATS[form](program, tuple(part[:2] for part in inputs), draft)
        for count in (len(parts), 1):
            found = run(*(part[:count] for part in inputs))
            named = dict(zip(output_names(program), found, strict=True))
            _compare(scorer, parts[:count], named, path)
    return Path(path)


def _compare(
    scorer: PictureScorer, parts: Sequence[Pictures], found: dict[str, Tensor], path: str | Path
) -> None:
    """Raise an `InputError` if a program says something else than `scorer`.

    Features are rounded to float16. One that lies between two steps may fall to either side by the
    last digit of another runtime's sums, and then moves a score by more than rounding does. So a
    program that hands out its features has them compared by themselves: none may be much more than
    a step away, and few may be that; the scores are compared with those that mfkit finds for them.
    """
    x = scorer.features(parts)
    if "features" in found:
        apart, step = (found["features"] - x).abs(), x.abs().clamp(min=2**-14) * 2**-10
        moved = (apart > 0).double().mean().item()
        if not (apart <= 1.01 * step + SUMS * x.abs().max()).all() or moved > MOVED:
            raise InputError(
                f"{path}: the backbone of the exported program sees something else: "
                f"{moved:.2%} of the features differ, by up to {apart.max():.2g}; use "
                "mfkit.load_scorer, and report this with results.json's versions"
            )
        x = found["features"]
    scores, agreement, *_ = scorer.judge(x, parts, None)
    expected = dict(zip(("maps", "image_scores", "sample_scores"), scores, strict=True))
    both = [found["sample_scores"]]
    if agreement is not None:
        expected["agreement"] = agreement.samples
        both.append(found["agreement"])
    if scorer.description.held_out is not None:
        # from its own scores: one that lies close to a held-out one may pass it by rounding
        expected["p_values"] = p_values(torch.stack(both, 1), scorer.description.held_out.both())
    for name, values in expected.items():
        apart, unit = (found[name] - values).abs().max().item(), 1.0
        if name == "agreement":  # in spreads, which are nats per channel, too, and small
            unit = scorer.description.usual.spread.min().item()
        if not unit * apart <= TOLERANCE:
            raise InputError(
                f"{path}: {name} of the exported program differ from mfkit's by {apart:.2g}; use "
                "mfkit.load_scorer, and report this with results.json's versions"
            )


Run = Callable[..., Sequence[Tensor]]


def _to_pt2(program: PictureProgram, examples: tuple[Tensor, ...], path: Path) -> Run:
    batch = torch.export.Dim("B", min=1)
    shapes = tuple({0: batch} for _ in examples)
    with torch.no_grad():
        exported = torch.export.export(program, examples, dynamic_shapes=shapes, strict=False)
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)  # to a full disk it would abort the process
    path.write_bytes(buffer.getbuffer())
    module = torch.export.load(path).module()

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            return module(*inputs)

    return run


def _to_onnx(program: PictureProgram, examples: tuple[Tensor, ...], path: Path) -> Run:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"--format onnx needs the package {error.name}, which is not installed: "
            "pip install 'mfkit[onnx]'"
        ) from None
    names = ["images", "foreground"][: len(examples)]
    batch = torch.export.Dim("B", min=1)
    try:
        with torch.no_grad():
            torch.onnx.export(
                program,
                examples,
                str(path),
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                output_names=output_names(program),
                dynamic_shapes=tuple({0: batch} for _ in examples),
                external_data=False,
                verbose=False,
            )
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except OSError:  # the disk is full, or closed
        raise
    except Exception as error:  # exporter and runtime raise many kinds; each names the operator
        raise InputError(
            f"{path}: this model cannot be written as ONNX: {error}; use --format pt2"
        ) from error

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        feed = {name: part.numpy() for name, part in zip(names, inputs, strict=True)}
        return [torch.from_numpy(np.asarray(part)) for part in session.run(None, feed)]

    return run


FORMATS: dict[str, Callable[..., Run]] = {"pt2": _to_pt2, "onnx": _to_onnx}
"""What `--format` may be: each writes a file and gives what runs it."""
