"""Make the models that come with the course, one for each category of mini-iad.

    python data/models/make.py                          # all of them; what is trained stays trained
    python data/models/make.py --category wire_plug --epochs 2    # to try it

Each is trained by `mfkit.run` in runs/models, its weights are rounded to float16, and the rounded
model scores its held-out samples and the test split again: what lies in data/models/NAME is what
these weights say, `scores.csv` for a test, `model.json` for verdicts, `README.md` for people. The
models are small on purpose: all of them together stay below 12 MB.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from mfkit.data import Category, Sample, categories, read_category
from mfkit.experiment import CategoryFolder, Description, HeldOut, RunFolder, weights_digest
from mfkit.experiment.run import run
from mfkit.files import whole_file
from mfkit.flow import load_flow, save_state
from mfkit.inspection import PictureScorer, load_scorer, model_card, score_table, take

ROOT = Path(__file__).resolve().parents[2]
DATA, HOME = ROOT / "data" / "mini-iad", ROOT / "data" / "models"
RECIPE = {"preset": "together", "hidden": 40, "kernel_size": 1, "epochs": 40, "linear": False}
"""What every model is trained with; see `mfkit.run`. 1.8 MB a model.

With kernels of one position a flow has a ninth of the weights; with 3 x 3 it would have room for 3
hidden channels only, and miss most defects.
"""
RECIPES: dict[str, dict] = {"wire_plug": {"epochs": 20, "linear": True}}
"""What a category has in place of that: linear messages take 4.5 MB, only misfits need them."""
LICENCE = """\
Trained on data/mini-iad, which was rendered for this course: CC BY 4.0, as its pictures. What is
large in `model.pt` is rounded to float16; the results above are those before it, `scores.csv` holds
those after it."""
FEW = 1000  # numbers, in what stays float32: mean and spread of the channels
LIMIT = 12e6  # bytes, of all models together


def held_out(scorer: PictureScorer, samples: Sequence[Sample]) -> HeldOut:
    """What the model says of samples that training has not seen."""
    images, agreement = [], []
    for sample in tqdm(samples, desc="held out"):
        verdicts = scorer([take(sample, scorer.description)])
        images.append(verdicts.scores.images)
        agreement += [verdicts.agreement.images] if verdicts.agreement else []
    names = tuple(sample.name for sample in samples)
    return HeldOut(names, torch.cat(images), torch.cat(agreement) if agreement else None)


def ship(out: Path, category: Category, home: Path) -> CategoryFolder:
    """Write a finished model of a run to `home/NAME`, all that is large in it as float16.

    It stays an exact flow, of the rounded numbers.

    Returns:
        the folder's files.
    """
    trained, shipped = RunFolder(out).category(category.name), CategoryFolder(home / category.name)
    shutil.rmtree(shipped.path, ignore_errors=True)
    flow = load_flow(trained.model)
    state = {
        name: value.half() if value.is_floating_point() and value.numel() > FEW else value
        for name, value in flow.state_dict().items()
    }
    save_state({"config": flow.config, "state": state}, shipped.model)
    description = Description.read(trained.description)
    description = replace(description, weights=weights_digest(shipped.model))
    description.write(shipped.description)
    if description.held_out:
        names = set(description.held_out.samples)
        unseen = [sample for sample in category.train if sample.name in names]
        measured = held_out(load_scorer(shipped.path, "cpu"), unseen)
        replace(description, held_out=measured).write(shipped.description)
    table = score_table(load_scorer(shipped.path, "cpu"), category.test)
    with whole_file(shipped.scores) as draft:
        table.to_csv(draft, index=False)
    with whole_file(shipped.card) as draft:
        draft.write_text(model_card(out, category.name, shipped, LICENCE), encoding="utf-8")
    return shipped


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--category", nargs="+", help="default: all of mini-iad")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--home", type=Path, default=HOME, help="default: data/models")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "models")
    parser.add_argument("--features", type=Path, default=ROOT / "runs" / "demo" / "features")
    options = parser.parse_args(arguments)
    for name in options.category or categories(options.data):
        recipe = RECIPE | RECIPES.get(name, {})
        recipe |= {"epochs": options.epochs} if options.epochs else {}
        out = options.runs / name  # a folder of its own, as recipes differ
        run(options.data, out, name, **recipe, features=options.features, device="cpu")
        folder = ship(out, read_category(options.data, name), options.home)
        print(f"{folder.model}: {folder.model.stat().st_size / 1e6:.1f} MB")
    size = sum(path.stat().st_size for path in options.home.rglob("*") if path.is_file())
    print(f"all models: {size / 1e6:.1f} MB")
    if size > LIMIT:
        raise SystemExit(f"{options.home}: more than {LIMIT / 1e6:.0f} MB; take a smaller flow")


if __name__ == "__main__":
    main()
