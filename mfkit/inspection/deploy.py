"""For use elsewhere: score(x) as one program without mfkit, and a card that says what it is."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

import torch
from torch import Tensor, nn

from mfkit.errors import InputError
from mfkit.experiment import FURTHER, METRICS, RunFolder, finished, read_results
from mfkit.files import whole_file
from mfkit.flow import MultiFlow, load_flow
from mfkit.score import Scores

__all__ = ["Scorer", "deploy", "export_scorer", "model_card"]

TOLERANCE = 1e-4  # nats per channel by which the exported program may differ


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
        return tuple(Scores.of(*self.flow(x), foreground))


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
    with whole_file(path) as draft:
        torch.export.save(program, draft)
    return Path(path)


CARD = Template("""\
# Multi-Flow for $category

One normalizing flow over the features of $views cameras that look at one object; a score is a
negative log-likelihood. Trained with mfkit $mfkit on the samples of the training split.

## Use

Input: features ($views, $channels, $height, $width) of the backbone `$backbone`, $views views in
the order of the cameras, mirrored as in training. Output: score maps, image scores and sample
scores in nats per channel, without the constant; they may be negative, only their order matters. A
threshold is not part of the model: choose it on sound samples that training has not seen.

```python
from mfkit import load_flow
flow = load_flow("model.pt")              # reads with weights_only=True
```

`score.pt2` computes the scores without mfkit: `torch.export.load("score.pt2").module()($inputs)`.
$positions
$precision

## Training

| | |
|---|---|
| data | $data |
| preset | $preset, seed $seed |
| flow | $blocks blocks, hidden $hidden, graph $graph, message $message |
| foreground | $foreground |
| training | $training |
| versions | $versions |

## Results on the test split

$samples samples, official rules (S-AUROC: maximum over views), percent.

| $titles |
|$rules|
| $figures |

## Limits

It knows the objects, cameras and light that it was trained on and nothing else: another lot,
another lens or another ground may score like a defect. Defects much smaller than one position of
the feature map are missed. Few test samples leave an AUROC uncertain by some points.
`score.pt2` needs all views: if cameras may be missing, score with mfkit.

## Licence of the data

To be filled in by whoever publishes these weights. Real-IAD is CC BY-NC-SA 4.0: weights trained on
it are for research, not for products, and name it.
""")


def model_card(out: str | Path, category: str) -> str:
    """A model card in Markdown, filled from results.json and the model's own configuration.

    Arguments:
        out: the folder of a run.
        category: one that the run has finished.

    Raises:
        InputError: the run has no such category.
    """
    results = finished(out, category)
    row = results["categories"][category]
    flow = load_flow(RunFolder(out).category(category).model)
    views, channels, height, width = flow.shape
    settings = {**results["config"], "data": Path(results["config"]["data"]).name}
    masks = settings["foreground"] = Path(settings["foreground"]).name  # no private path
    amp = settings["training"].get("amp")
    training = ", ".join(f"{key} {value}" for key, value in settings.pop("training").items())
    versions = dict(results["versions"])
    titles = {key: title for key, title in (METRICS | FURTHER).items() if key in row}
    return CARD.substitute(
        settings,
        category=category,
        views=views,
        channels=channels,
        height=height,
        width=width,
        training=training,
        inputs="x" if masks == "none" else "x, foreground",
        positions="Every position counts."
        if masks == "none"
        else f"`foreground` ({views}, {height}, {width}) of bool says which positions show the "
        "object: it was trained on these alone, and only they count.",
        precision="It computes in float32."
        if amp is None
        else f"It computes in float32, the results below are those of {amp}: single scores differ "
        "by about a thousandth of a nat.",
        mfkit=versions["mfkit"],
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        samples=row["samples"],
        titles=" | ".join(titles.values()),
        rules="---|" * (len(titles) - 1) + "---",
        figures=" | ".join(f"{100 * row[key]:.1f}" for key in titles),
    )


def deploy(out: str | Path, category: str) -> list[Path]:
    """Write `out/category/score.pt2` and the model card `out/category/README.md`.

    Raises:
        InputError: the run has no such category, or the exported program gives other scores.
    """
    folder = RunFolder(out).category(category)
    card = model_card(out, category)
    foreground = read_results(out)["config"]["foreground"] != "none"
    program = export_scorer(load_flow(folder.model), folder.program, foreground=foreground)
    with whole_file(folder.card) as draft:
        draft.write_text(card, encoding="utf-8")
    return [program, folder.card]
