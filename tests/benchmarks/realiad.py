"""What a category as large as Real-IAD's takes: memory and time of each stage, and what follows.

    python tests/benchmarks/realiad.py        # 5,000 images, 1.8 GB in /tmp, about ten minutes

Every stage runs in a process of its own, whose peak of resident memory is reported. Reading and
writing covers all 5,000 images; what is slow on a CPU is timed on some (`--samples`), taken from
all over the file. The estimate at the end follows from operations counted, times measured, and the
assumptions that it prints.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from pace import operations
from PIL import Image
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from trees import link, tree

from mfkit.data import DataSet, read_category
from mfkit.experiment import PRESETS, Training, evaluate, new_flow
from mfkit.experiment.train import train
from mfkit.features import (
    Backbone,
    FeatureStore,
    ForegroundStore,
    Split,
    load_backbone,
    load_masks,
)
from mfkit.flow import MultiFlow

SHAPE = (304, 24, 24)
TRAIN, SOUND, BAD = 240, 240, 520  # samples of five images
IMAGES = {"train": 36_465, "test": 114_585}  # of Real-IAD, 30 categories
EPOCHS = 40
ASSUMED = {
    "flow": 40e12,  # operations a second of a training flow, bfloat16, a tenth of the chip's peak
    "backbone": 10e12,  # depthwise convolutions are bound by memory
    "cores": 16,  # processors beside each GPU, which decode and segment
}


def few(folder: Path, name: str, samples: int) -> Split:
    """Some samples from all over a split."""
    store = FeatureStore(folder / f"{name}.f16")
    whole = Split(read_category(folder, "audiojack").splits[name], store)
    return whole.part(range(0, len(whole), len(whole) // samples)[:samples])


def made_up_backbone() -> Backbone:
    """Features of the paper's shape from pooled colours: as large, but quick."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.AvgPool2d(32), nn.Conv2d(3, SHAPE[0], 1))
    return Backbone("made up", layers, 768, (0.4,) * 3, (0.2,) * 3)


def features(folder: Path, options) -> dict:
    """All 5,000 images are read and stored; that the file is not kept in memory shows here."""
    category = read_category(folder, "audiojack")
    for split, samples in category.splits.items():
        FeatureStore.build(folder / f"{split}.f16", samples, made_up_backbone(), batch=1)
    for split in category.splits:
        store = FeatureStore(folder / f"{split}.f16")
        for index in range(len(store)):
            store[[index]]
    return {"images": 5 * (TRAIN + SOUND + BAD)}


def decoding(folder: Path, options) -> dict:
    """One processor reads images of 1024 px and reduces them to the 768 px of the backbone."""
    samples = read_category(folder, "audiojack").train[: options.samples]
    for sample in samples:
        for view in range(len(sample.images)):
            sample.image(view, 768)
    return {"images": 5 * len(samples)}


def backbone(folder: Path, options) -> dict:
    """EfficientNet-B5 with random weights."""
    network = load_backbone("efficientnet_b5", pretrained=False)
    x = torch.zeros(5, 768, 768, 3, dtype=torch.uint8)
    network(x)
    return {"images": 5}


def foreground(folder: Path, options) -> dict:
    category = read_category(folder, "audiojack")
    masks = load_masks("border", DataSet(folder), "audiojack")
    samples = category.train[: 5 * options.samples]
    ForegroundStore.build(folder / "train-border.bool", samples, masks, *SHAPE[1:])
    return {"images": 5 * len(samples)}


def training(folder: Path, options) -> dict:
    """One epoch, with a checkpoint at its end."""
    split = few(folder, "train", options.samples)
    settings = Training(epochs=1, batch=options.batch, micro_batch=options.micro_batch)
    history = train(
        flow(options), split, settings, folder / f"{options.flow}-{settings.micro_batch}"
    )
    return {"images": 5 * options.samples, "seconds": float(history.seconds.sum())}


def evaluation(folder: Path, options) -> dict:
    evaluate(flow(options).eval(), few(folder, "test", options.samples))
    return {"images": 5 * options.samples}


STAGES = (features, decoding, backbone, foreground, training, evaluation)
STAGES = {stage.__name__: stage for stage in STAGES}
PLAN = [  # what is printed, the stage, the flow's preset, samples of a micro-batch
    ("features", "features", "paper", None),
    ("decoding at 768 px", "decoding", "paper", None),
    ("backbone", "backbone", "paper", None),
    ("foreground", "foreground", "paper", None),
    *(
        line
        for size in ("workshop", "paper")
        for line in (
            (f"training, {size} flow", "training", size, None),
            ("    in micro-batches of 1", "training", size, 1),
            (f"evaluation, {size} flow", "evaluation", size, None),
        )
    ),
]


def flow(options) -> MultiFlow:
    """Blocks and hidden channels of a preset, on features of the paper's shape."""
    return new_flow(PRESETS[options.flow], 5, SHAPE)


def counted() -> tuple[float, float]:
    """Operations of one image through B5, and of one sample through the paper's flow."""
    with torch.device("meta"), torch.no_grad():
        network, model = (
            load_backbone("efficientnet_b5", pretrained=False),
            new_flow(PRESETS["paper"], 5, SHAPE).eval(),
        )
        image, sample = torch.zeros(1, 768, 768, 3, dtype=torch.uint8), torch.zeros(1, 5, *SHAPE)
        return operations(lambda: network(image)), operations(lambda: model(sample))


def estimate(seconds: dict[str, float]) -> None:
    """Hours and GB for 30 categories on one GPU and on eight."""
    of_image, of_sample = counted()
    images = sum(IMAGES.values())
    train_samples, test_samples = (count / 5 for count in IMAGES.values())
    hours = {
        "backbone": images * of_image / ASSUMED["backbone"],
        "reading and storing": images * seconds["features"] / ASSUMED["cores"],
        "foreground": images * seconds["foreground"] / ASSUMED["cores"],
        "training": 3 * of_sample * train_samples * EPOCHS / ASSUMED["flow"],
        "scoring": of_sample * test_samples / ASSUMED["flow"],
    }
    print(f"\nB5 {of_image / 1e9:.0f} G operations an image, flow {of_sample / 1e9:.0f} G a sample")
    print(f"assumed: {ASSUMED}")
    for name, value in hours.items():
        print(f"{name:22} {value / 3600:6.2f} h")
    decoding, network = seconds["decoding"], of_image / ASSUMED["backbone"]
    print(
        f"decoding {1e3 * decoding:.0f} ms of a processor, backbone {1e3 * network:.1f} ms of the "
        f"GPU an image: {decoding / network:.0f} processors keep it busy"
    )
    total = sum(hours.values()) / 3600
    print(f"one GPU {total:.1f} h, eight GPUs {total / 8 * 32 / 30:.1f} h (four rounds of eight)")
    weights = sum(p.numel() for p in new_flow(PRESETS["paper"], 5, SHAPE).parameters())
    disk = 2 * images * np.prod(SHAPE) + 30 * 16 * weights + 4 * IMAGES["test"] * 576
    print(f"disk: {disk / 1e9:.0f} GB, of which {30 * 12 * weights / 1e9:.0f} GB are checkpoints")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=16, help="that are timed where it is slow")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--micro-batch", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--flow", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        start = time.perf_counter()
        done = STAGES[options.stage](options.folder, options)
        done.setdefault("seconds", time.perf_counter() - start)
        done["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(done))
        return
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.jpg"
        pixels = np.random.default_rng(0).integers(60, 90, (1024, 1024, 3)).astype(np.uint8)
        pixels[300:700, 300:700] += 120
        Image.fromarray(pixels).save(picture)
        parts = {"train": TRAIN, "sound": SOUND, "codes": {"BX": BAD}, "size": 1024}
        tree(Path(folder), "audiojack", draw=link(picture), **parts)
        print(f"{'stage':25} {'images':>7} {'ms an image':>12} {'peak GiB':>9}", flush=True)
        for name, stage, size, micro_batch in PLAN:
            command = [sys.executable, __file__, "--stage", stage, "--folder", folder]
            command += ["--flow", size, "--samples", str(options.samples)]
            command += ["--batch", str(options.batch)]
            command += ["--micro-batch", str(micro_batch)] if micro_batch else []
            text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            done = json.loads(text.splitlines()[-1])
            seconds[stage] = done["seconds"] / done["images"]
            print(
                f"{name:25} {done['images']:7} {1e3 * seconds[stage]:12.1f} {done['peak']:9.2f}",
                flush=True,
            )
    estimate(seconds)


if __name__ == "__main__":
    main()
