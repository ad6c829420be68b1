"""What a model is, how it was made, what it promises and where it fails: its card."""

from pathlib import Path
from string import Template

import numpy as np
from torch import Tensor

from mfkit import escape
from mfkit.experiment import FURTHER, METRICS, CategoryFolder, Description, RunFolder, finished
from mfkit.flow import load_flow
from mfkit.score import smallest_rate

__all__ = ["EXAMPLE", "model_card"]

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of false alarms, for which a card states thresholds

EXAMPLE = Template("""\
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

CAMERAS = $cameras
SIZE = $size


def load(folder, camera):
    \"\"\"One picture: RGB, turned as its camera noted, resized.\"\"\"
    (path,) = [p for p in Path(folder).iterdir() if p.stem == camera or f"_{camera}_" in p.name]
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


session = onnxruntime.InferenceSession("score.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs() if output.name != "features"]
for folder in sys.argv[1:]:
    images = np.stack([load(folder, camera) for camera in CAMERAS])[None]
    found = dict(zip(names, session.run(names, {"images": images})))
    worst = CAMERAS[int(found["image_scores"][0].argmax())]
    print(folder, found["sample_scores"][0], worst, *found.get("p_values", []))
""")
"""How `score.onnx` is used: with onnxruntime, Pillow and NumPy, without PyTorch."""

CARD = Template("""\
# Multi-Flow for $category

One normalizing flow over the features of $views cameras that look at one object; a score is a
negative log-likelihood. Trained with mfkit $mfkit on the samples of the training split.

## Use

```python
import mfkit

scorer = mfkit.load_scorer(".")  # this folder: model.pt and model.json
scores, agreement, p_values, alarms = scorer(images)
```

`images` are ($views, h, w, 3) or (B, $views, h, w, 3) of uint8, RGB, as the cameras took them, in
this order: $cameras. `python -m mfkit score --model . PICTURES` does the same for files. Scores are
in nats per channel, without the constant; they may be negative, only their order matters.

$programs
$positions
$precision

### Threshold

$threshold

## Training

| | |
|---|---|
| data | $data |
| preset | $preset, seed $seed |
| backbone | $backbone, features $channels x $height x $width |
| flow | $blocks blocks, hidden $hidden, kernels $kernels, graph $graph, message $message |
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
Exported programs need all views: if cameras may be missing, score with mfkit.

## Licence of the data

$licence
""")

UNKNOWN = """\
To be filled in by whoever publishes these weights. Real-IAD is CC BY-NC-SA 4.0: weights trained on
it are for research, not for products, and name it."""


def model_card(
    out: str | Path, category: str, folder: CategoryFolder | None = None, licence: str = UNKNOWN
) -> str:
    """A model card in Markdown, filled from results.json and the model's own files.

    It says how to use those programs of `deploy` that lie beside it.

    Arguments:
        out: the folder of a run.
        category: one that the run has finished.
        folder: where the model lies; None: where the run left it.
        licence: what the data's licence asks of these weights, in Markdown.

    Raises:
        InputError: the run has no such category, or it is of an older mfkit.
    """
    results = finished(out, category)
    row, folder = results["categories"][category], folder or RunFolder(out).category(category)
    flow, description = load_flow(folder.model), Description.read(folder.description)
    views, channels, height, width = flow.shape
    settings = {**results["config"], "data": Path(results["config"]["data"]).name}
    masks = settings["foreground"] = Path(settings["foreground"]).name  # no private path
    amp = settings["training"].get("amp")
    training = ", ".join(f"{key} {value}" for key, value in settings.pop("training").items())
    versions = dict(row.get("versions", results["versions"]))
    titles = {key: title for key, title in (METRICS | FURTHER).items() if key in row}
    return CARD.substitute(
        {key: escape.markdown(value) for key, value in settings.items()},
        category=escape.markdown(category),
        views=views,
        channels=channels,
        height=height,
        width=width,
        cameras=", ".join(escape.markdown(camera.name) for camera in description.cameras),
        training=training,
        kernels=", ".join(map(str, flow.config.get("kernel_sizes", ()))),
        licence=licence,
        programs=_programs(folder, description, flow.shape),
        threshold=_threshold(description),
        positions="Every position counts."
        if masks == "none"
        else "Only positions that show the object count: it was trained on these alone.",
        precision="It computes in float32."
        if amp is None
        else f"Programs compute in float32, the results below are those of {amp}: single scores "
        "differ by about a thousandth of a nat.",
        mfkit=versions["mfkit"],
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        samples=row["samples"],
        titles=" | ".join(titles.values()),
        rules="---|" * (len(titles) - 1) + "---",
        figures=" | ".join(f"{100 * row[key]:.1f}" for key in titles),
    )


def _programs(folder: CategoryFolder, description: Description, shape: tuple[int, ...]) -> str:
    """How to use the programs that lie in the folder."""
    views, channels, height, width = shape
    size, masked = description.size, description.foreground != "none"
    more = ", foreground" if masked else ""
    told = (
        f" `foreground` (B, {views}, {height}, {width}) of bool says which positions show the "
        "object, mirrored as in training."
        if masked
        else ""
    )
    outputs = "maps, image scores, sample scores"
    outputs += ", p-values" if description.held_out else ""
    outputs += ", agreement" if description.usual else ""
    images = f"images (B, {views}, {size}, {size}, 3) of uint8, as taken and resized"
    parts = []
    if folder.program.exists():
        parts.append(
            "`score.pt2` is the whole chain for PyTorch, without mfkit: "
            f"`torch.export.load('score.pt2').module()(images{more})` takes {images}, and gives "
            f"{outputs}.{told}"
        )
    if folder.feature_program.exists():
        parts.append(
            "`score_features.pt2` is the flow alone: "
            f"`torch.export.load('score_features.pt2').module()(x{more})` takes features "
            f"(B, {views}, {channels}, {height}, {width}) of the backbone, and gives maps, image "
            f"scores, sample scores.{told}"
        )
    if folder.onnx.exists():
        names = [camera.name for camera in description.cameras]
        parts.append(f"`score.onnx` is the whole chain for any ONNX runtime: {images}.{told}")
        if not masked:
            example = EXAMPLE.substitute(cameras=names, size=size)
            parts.append(f"Without PyTorch:\n\n```python\n{example}```")
    return "\n\n".join(parts) + "\n"


def _threshold(description: Description) -> str:
    """Which verdicts the model can give, and what they promise."""
    held = description.held_out
    if held is None:
        return (
            "None: no samples were held out of training (`--held-out`). Choose one on sound "
            "samples that training has not seen."
        )
    both = held.both()
    count = len(both)
    text = [
        f"{count} sound training samples were held out; `model.json` keeps their scores. The "
        "p-value of a part is its rank among them (split conformal prediction): of sound parts "
        "that come as these did, at most a share r has a p-value of r or less, on average. The "
        f"smallest rate that {count} samples can promise is {smallest_rate(count):.4f}. Where "
        "light, lens, lot or wear have drifted since, nothing is promised: hold out new samples.",
    ]
    if both.shape[1] == 2:
        text.append(
            "Likelihood and agreement are joined, so no single number is the threshold; alone, "
            "they would be:"
        )
    names = ["score", "agreement"][: both.shape[1]]
    lines = [f"| false alarms at most | {' | '.join(f'{name} above' for name in names)} |"]
    lines.append("|---" * (1 + len(names)) + "|")
    for rate in RATES:
        if rate >= smallest_rate(count) - 1e-9:
            cells = [f"{threshold(part, rate):.4f}" for part in both.T]
            lines.append(f"| {rate:.0%} | {' | '.join(cells)} |")
    return "\n\n".join([*text, "\n".join(lines)])


def threshold(unseen: Tensor, rate: float) -> float:
    """The score above which a part has a p-value of at most `rate`.

    Arguments:
        unseen: (M,), one score of the held-out samples.
        rate: at least 1 / (M + 1).

    Example:
        >>> import torch
        >>> threshold(torch.arange(19.0), 0.05), threshold(torch.arange(19.0), 0.1)
        (18.0, 17.0)
    """
    place = int(np.floor(rate * (len(unseen) + 1) + 1e-9))
    return unseen.sort(descending=True).values[place - 1].item()
