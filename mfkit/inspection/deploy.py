"""For use elsewhere: a trained model as one program without mfkit, and its card."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mfkit.data import DataSet, read_category
from mfkit.errors import InputError
from mfkit.experiment import CategoryFolder, RunFolder, finished
from mfkit.files import whole_file
from mfkit.flow import MultiFlow, load_flow
from mfkit.inspection.card import model_card
from mfkit.inspection.program import TOLERANCE, export_program
from mfkit.inspection.scorer import Pictures, load_scorer, take
from mfkit.score import Scores

__all__ = ["TAKES", "Scorer", "deploy", "export_scorer"]

TAKES = ("pictures", "features")
"""What a program may take."""
CHECKED = 4  # parts from either end of the test split, on which a program is checked


class Scorer(nn.Module):
    """Features in, scores out, as `mfkit.evaluate` computes them without `amp`.

    Arguments:
        flow: in evaluation mode.
    """

    def __init__(self, flow: MultiFlow):
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, foreground: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Score maps (B, V, H, W), image scores (B, V) and sample scores (B,) of x (B, V, C, H, W).

        In nats per channel, by the maximum rule; every view is present. The foreground (B, V, H, W)
        of bool says which positions count; None: all do.
        """
        return tuple(Scores.of(self.flow.scales(x), foreground))


def export_scorer(
    flow: MultiFlow, path: str | Path, batches: Sequence[int] = (1, 3), foreground: bool = False
) -> Path:
    """Write score(x) as a program that PyTorch runs without mfkit and FrEIA, and check it.

    `torch.export.load(path).module()(x)` runs it, for any number of samples; `(x, foreground)` does
    for a flow that was trained on the foreground: see `Scorer.forward`.

    Arguments:
        flow: in evaluation mode, on the CPU.
        path: ends in .pt2.
        batches: numbers of samples for which the program is compared with `Scorer` itself.
        foreground: whether the program takes one.

    Raises:
        InputError: the program gives other scores.
    """
    scorer = Scorer(flow.eval())
    generator = torch.Generator().manual_seed(0)
    examples = [(torch.randn(b, *flow.shape, generator=generator),) for b in (2, *batches)]
    if foreground:
        examples = [(x, x[:, :, 0] > -1) for (x,) in examples]
    with torch.no_grad():
        batch = torch.export.Dim("B", min=1)
        dynamic = tuple({0: batch} for _ in examples[0])
        program = torch.export.export(scorer, examples[0], dynamic_shapes=dynamic, strict=False)
        for inputs in examples:
            for ours, theirs in zip(scorer(*inputs), program.module()(*inputs), strict=True):
                apart = (ours - theirs).abs().max().item()
                if not apart <= TOLERANCE:
                    raise InputError(
                        f"{path}: the exported program differs from the flow by {apart:.2g} nats "
                        "per channel; use model.pt, and report this with results.json's versions"
                    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)  # to a full disk it would abort the process
    with whole_file(path) as draft:
        draft.write_bytes(buffer.getbuffer())
    return Path(path)


def deploy(
    out: str | Path,
    category: str,
    takes: str = "pictures",
    form: str = "pt2",
    data: str | Path | None = None,
) -> list[Path]:
    """Write a trained model as a program for use elsewhere, and a card that says what it is.

    Arguments:
        out: the folder of a run.
        category: one that it has finished.
        takes: "pictures": from pixels to p-values, `out/category/score.pt2` or `score.onnx`, see
            `PictureProgram`; "features": the flow alone, `score_features.pt2`, see `Scorer`.
        form: "pt2", a program of `torch.export`, or "onnx".
        data: where the data set lies now; None: where it lay when the run was made. On pictures of
            its test split a program is compared with mfkit before it is written.

    Returns:
        the program, and the card, `out/category/README.md`.

    Raises:
        InputError: the run has no such category, the program cannot be written or gives other
            scores, or the pictures are not there.
    """
    if takes not in TAKES:
        raise InputError(f"--takes should be one of {', '.join(TAKES)}, got {takes!r}")
    if takes == "features" and form != "pt2":
        raise InputError(f"--takes features goes with --format pt2 only, got {form!r}")
    config, folder = finished(out, category)["config"], RunFolder(out).category(category)
    if takes == "features":
        program = export_scorer(
            load_flow(folder.model),
            folder.feature_program,
            foreground=config["foreground"] != "none",
        )
    else:
        program = _whole(folder, category, form, data or config["data"])
    with whole_file(folder.card) as draft:
        text = model_card(out, category)
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
    return [program, folder.card]


def _whole(folder: CategoryFolder, category: str, form: str, data: str | Path) -> Path:
    """The program from pictures on, compared with mfkit on test samples that lack no view."""
    scorer = load_scorer(folder.path, "cpu")
    try:
        test = read_category(DataSet(data, missing_views="allow"), category).test
    except InputError as error:
        raise InputError(
            f"{error} (the program is checked on pictures of the test split: say where the data "
            "set lies now, with --data)"
        ) from None
    whole = [sample for sample in test if all(sample.present)]
    some = whole[:CHECKED] + whole[CHECKED:][-CHECKED:]
    parts: list[Pictures] = [take(sample, scorer.description) for sample in some]
    if len(parts) < 2:
        raise InputError(
            f"{data}: the program is checked on test samples that have all views, and there are "
            f"{len(parts)}; add some"
        )
    path = folder.onnx if form == "onnx" else folder.program
    return export_program(scorer, path, parts, form)
