"""What does a better likelihood hide? A defect explains itself to who sees what is around it.

    python tests/benchmarks/hides.py             # what the file of rows lacks, then the page
    python tests/benchmarks/hides.py page        # the page from what there is

On the features of one scale, behind a cross-fitted Gaussian for each position and without messages,
couplings are trained for longer and longer, with kernels that see the surroundings (3) and with
such that do not (1). After some epochs: the likelihood of new sound parts, what is found, and two
operations: the middle of a defect is put into a sound part, with a larger and larger piece of what
was around it, or by itself, with ever fewer of its channels at a time. Then scores that are derived
from the likelihood, of the models that `stronger.py` leaves.

Rows are kept in notebooks/results/hides.json; hides.md and hides.png lie beside it. For scores of
the category on which one may choose: `wires.py` says how its fresh samples are rendered.
"""

import argparse
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from pages import Rows, fill, markdown, seed_table

from mfkit import PALETTE, plot
from mfkit.data import read_category
from mfkit.experiment import choose_preset, compare, new_flow, score_split
from mfkit.experiment.cross_fit import CrossFitted
from mfkit.experiment.run import run
from mfkit.experiment.train import train
from mfkit.features import FeatureStore, Split, load_backbone
from mfkit.flow import MultiFlow, Pyramid, load_flow
from mfkit.score import Scores, nll_map, score_map

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "runs" / "hides"
FEATURES = ROOT / "runs" / "stronger" / "features"
DATA = ROOT / "data" / "mini-iad"
PAGE = ROOT / "notebooks" / "results" / "hides.md"
CATEGORIES = ("cast_flange", "screw_block", "control_knob")
KERNELS = (3, 1)
EPOCHS = (0, 2, 4, 8, 16)
SIZES = (1, 3, 5, 7, 9, 16)  # of the piece that is moved; 16 is the whole view
PARTS = (1, 2, 4)  # into which the channels of a position are dealt
WHOLE = len(KERNELS) * len(EPOCHS)  # rows of a category that is done
NUMBERS = ("nll", "s_auroc", "i_auroc", "p_ap", "p_aupro")
VALIDATION = "wire_plug, rendered anew"
RULES = (
    "likelihood",
    "latents alone",
    "less the image's median",
    "units of the place",
    "typicality",
)
ROWS = Rows(
    PAGE.with_suffix(".json"),
    "python tests/benchmarks/hides.py",
    {
        "category": (*CATEGORIES, VALIDATION),
        "kernel": KERNELS,
        "epochs": EPOCHS,
        "size": SIZES,
        "parts": PARTS,
        "rule": RULES,
    },
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", default="all", choices=("all", "train", "rules", "page"))
    options = parser.parse_args()
    if options.step in ("all", "train"):
        for category, kernel in itertools.product(CATEGORIES, KERNELS):
            longer(category, kernel)
    if options.step in ("all", "rules"):
        for category in (VALIDATION, *CATEGORIES):
            if len([r for r in ROWS.read("rules") if r["category"] == category]) < len(RULES):
                rules(category)
    if options.step in ("all", "page"):
        page()


def splits(category: str) -> tuple[Split, Split]:
    """Training and test samples with the features of one scale, in memory."""
    samples, found = read_category(DATA, category), []
    for name, part in samples.splits.items():
        store = FeatureStore(FEATURES / "efficientnet_lite0" / category / f"{name}.f16")
        found.append(Split(part, store[:].float()))
    return found[0], found[1]


def longer(category: str, kernel: int) -> None:
    """Train on and on, and measure on the way."""
    known = [row for row in ROWS.read("channels") if row["category"] == category]
    if {row["epochs"] for row in known if row["kernel"] == kernel} >= set(EPOCHS):
        return
    taught, test = splits(category)
    settings = choose_preset(
        "improved", backbone="efficientnet_lite0", linear=False, kernel_size=kernel, graph="empty"
    )
    torch.manual_seed(0)
    flow = new_flow(settings, taught.features.shape[1], taught.features.shape[2:])
    flow.fit([taught.features])
    folder, apart = RUNS / f"{category}-{kernel}", CrossFitted(flow, taught, 8)
    shutil.rmtree(folder, ignore_errors=True)  # what was broken off is not measured on the way
    for epochs in EPOCHS:
        if epochs:
            steady = replace(
                settings.training, epochs=epochs, schedule="constant", learning_rate=2e-3
            )
            train(flow, taught, steady, folder, apart=apart)
        flow.eval()
        row = compare(test, score_split(flow, test))
        found = {key: (1 if key == "nll" else 100) * row[key] for key in NUMBERS}
        ROWS.keep("trained", category=category, kernel=kernel, epochs=epochs, **found)
        for size, score in moved(flow, test).items():
            key = {"category": category, "kernel": kernel, "epochs": epochs, "size": size}
            ROWS.keep("moved", **key, score=score)
        for parts, added in apart_by_channels(flow, test).items():
            key = {"category": category, "kernel": kernel, "epochs": epochs, "parts": parts}
            ROWS.keep("channels", **key, added=added)


@torch.no_grad()
def middles(flow: MultiFlow, test: Split) -> Iterator[tuple[int, int, int, int, int]]:
    """The middle of each defect, and a sound test sample to put it into.

    The middle is where the Gaussian, which sees no surroundings, scores highest inside the mask.
    Views in which no position is marked are left out.

    Yields:
        sample, view, row, column; the sound sample.
    """
    hosts = [index for index, sample in enumerate(test.samples) if not sample.label]
    for index, sample in enumerate(test.samples):
        for view in (v for v, bad in enumerate(sample.labels) if bad):
            marked = torch.from_numpy(sample.mask(view, 16) > 0)
            if marked.any():
                alone = nll_map(*flow(test.features[[index]], part=slice(flow.first_block)))
                alone = alone[0, view].masked_fill(~marked, -torch.inf)
                place = divmod(int(alone.argmax()), alone.shape[1])
                yield index, view, *place, hosts[index % len(hosts)]


@torch.no_grad()
def moved(flow: MultiFlow, test: Split) -> dict[int, float]:
    """The middle of each defect in a sound part, with a piece of so many positions around it.

    Returns:
        the mean score of the middle, nats per channel, for each size of the piece.
    """
    scores: dict[int, list[float]] = {size: [] for size in SIZES}
    for index, view, row, column, host in middles(flow, test):
        x = test.features[index]
        for size in SIZES:
            near = slice(max(0, row - size // 2), row + size // 2 + 1)
            beside = slice(max(0, column - size // 2), column + size // 2 + 1)
            if size == 16:
                near = beside = slice(None)
            mixed = test.features[[host]]
            mixed[0, view, :, near, beside] = x[view, :, near, beside]
            scores[size].append(nll_map(*flow(mixed))[0, view, row, column].item())
    return {size: sum(found) / len(found) for size, found in scores.items()}


@torch.no_grad()
def apart_by_channels(flow: MultiFlow, test: Split) -> dict[int, float]:
    """The middle of each defect in a sound part, not all of its whitened channels at a time.

    The channels are dealt into so many parts. Each part is moved by itself, and what it adds to
    the score of the sound position is summed over the parts. To the Gaussian channels are
    independent behind whitening, so that the sum does not depend on the number of parts.

    Returns:
        the mean of these sums, nats per channel, for each number of parts.
    """
    generator, last = torch.Generator().manual_seed(0), slice(flow.first_block, None)
    sums: dict[int, list[float]] = {parts: [] for parts in PARTS}
    for index, view, row, column, host in middles(flow, test):
        y, _ = flow(test.features[[index, host]], part=slice(flow.first_block))
        order = torch.randperm(y.shape[2], generator=generator)
        groups = [group for parts in PARTS for group in order.chunk(parts)]
        mixed = y[[1] * (1 + len(groups))]
        for number, group in enumerate(groups):
            mixed[number, view, group, row, column] = y[0, view, group, row, column]
        score = nll_map(*flow(mixed, part=last))[:, view, row, column]
        added = (score[:-1] - score[-1]).split(PARTS)
        for parts, found in zip(PARTS, added, strict=True):
            sums[parts].append(found.sum().item())
    return {parts: sum(found) / len(found) for parts, found in sums.items()}


def rules(category: str) -> None:
    """Scores that are derived from the likelihood of `improved`, seed 0."""
    name = "wire_plug" if category == VALIDATION else category
    home = ROOT / "runs" / "stronger" / "improved-0"
    samples, fresh = read_category(DATA, name), ROOT / "runs" / "wires" / "fresh"
    store = FEATURES / "efficientnet_lite0_pyramid" / name
    tested, place = samples.test, store / "test.f16"
    if category == VALIDATION:
        run(DATA, home, name, "improved", features=FEATURES)  # `stronger.py` leaves the others
        tested, place = read_category(fresh, name).test, fresh.with_name("fresh-pyramid.f16")
    taught = Split(samples.train, FeatureStore(store / "train.f16")[:].float())
    x = FeatureStore.build(place, tested, load_backbone("efficientnet_lite0_pyramid"))[:].float()
    rate(category, load_flow(home / name / "model.pt"), taught, Split(tested, x))


@torch.no_grad()
def rate(category: str, flow: Pyramid, taught: Split, test: Split) -> None:
    """Keep what each score finds."""
    apart = CrossFitted(flow, taught, 8)
    usual = torch.cat(
        [score_map(apart.scales(rows)) for rows in torch.arange(len(taught)).split(8)]
    )
    mean, spread = usual.mean(0), usual.std(0)
    maps, latents = [], []
    for part in test.features.split(8):
        scales = flow.scales(part)
        maps.append(score_map(scales))
        latents.append(score_map([(z, torch.zeros_like(log_det)) for z, log_det in scales]))
    nll, half = torch.cat(maps), torch.cat(latents)
    found = {
        "likelihood": nll,
        "latents alone": half,
        "less the image's median": nll - nll.flatten(2).median(2).values[..., None, None],
        "units of the place": (nll - mean) / spread,
        "typicality": (nll - mean).abs(),
    }
    scored = score_split(flow, test)
    for rule, values in found.items():
        images = values.flatten(2).amax(2)
        scores = Scores(values, images, images.amax(1))
        row = compare(test, scored._replace(scores=scores))
        row["s_auroc"] = row.get("s_auroc_plain", row["s_auroc"])  # no view shows a misfit
        numbers = {key: 100 * row[key] for key in NUMBERS if key != "nll"}
        ROWS.keep("rules", category=category, rule=rule, **numbers)


def picture(rows: pd.DataFrame, trained: pd.DataFrame) -> None:
    """Left: likelihood and what is found. Right: the middle of a defect, by what comes with it."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for kernel, colour in zip(KERNELS, ("defective", "sound"), strict=True):
        part = trained[trained["kernel"] == kernel].groupby("epochs")[["nll", "s_auroc"]].mean()
        left.plot(part["nll"], part["s_auroc"], "o-", color=PALETTE[colour], ms=4)
        for epochs, point in part.iterrows():
            away = (3, 4) if kernel > 1 else (-3, -11)  # points
            left.annotate(f"{epochs}", point, away, textcoords="offset points", fontsize=8)
        last = rows[(rows["kernel"] == kernel) & (rows["epochs"] == EPOCHS[-1])]
        curve = last.groupby("size")["score"].mean()
        label = "sees its surroundings" if kernel > 1 else "sees one position"
        right.plot(curve.index, curve, "o-", color=PALETTE[colour], ms=4, label=label)
    first = rows[rows["epochs"] == 0].groupby("size")["score"].mean()
    right.plot(first.index, first, "--", color=PALETTE["ink"], lw=1, label="Gaussian")
    left.invert_xaxis()
    left.set(xlabel="NLL of new sound parts, nats per channel (better to the right)")
    left.set(ylabel="S-AUROC, %", title="after 0, 2, 4, 8, 16 epochs")
    right.set(xlabel="edge of the piece that is moved, positions", title="the middle of a defect")
    right.set(ylabel="its score, nats per channel")
    right.legend(fontsize=8, loc=(0.45, 0.12))
    plot.save(figure, PAGE.with_suffix(".png"))


def _finished(part: str, rows: int) -> pd.DataFrame:
    """The rows of categories that have all of theirs."""
    return pd.DataFrame(ROWS.read(part)).groupby("category").filter(lambda of: len(of) == rows)


def page() -> None:
    """Draw the picture, fill the tables."""
    trained, rows = _finished("trained", WHOLE), _finished("moved", WHOLE * len(SIZES))
    picture(rows, trained)
    columns = {"nll": ("test NLL", 3), "s_auroc": ("S-AUROC", 1), "i_auroc": ("I-AUROC", 1)}
    columns |= {"p_ap": ("P-AP", 1), "p_aupro": ("P-AUPRO", 1)}
    trained = trained.sort_values(["category", "kernel", "epochs"], ascending=[True, False, True])
    fill(PAGE, "trained", seed_table(trained, ["category", "kernel", "epochs"], columns))
    sizes = [f"{size} x {size}" for size in SIZES[:-1]] + ["whole view"]
    fill(PAGE, "moved", _across(rows, "size", "score", sizes))
    channels = _finished("channels", WHOLE * len(PARTS))
    parts = ["all together", *(f"in {parts} parts" for parts in PARTS[1:])]
    fill(PAGE, "channels", _across(channels, "parts", "added", parts))
    del columns["nll"]
    rated = pd.DataFrame(ROWS.read("rules"))
    chosen = rated[rated["category"] == VALIDATION]
    fill(PAGE, "validation", seed_table(chosen, ["rule"], columns))
    others = rated[rated["category"] != VALIDATION]
    others = others.groupby("rule", as_index=False, sort=False)[list(columns)].mean()
    fill(PAGE, "rules", seed_table(others, ["rule"], columns))


def _across(rows: pd.DataFrame, across: str, value: str, titles: list[str]) -> str:
    """A line for each flow, a column for each value of `across`; means of the categories."""
    table = rows.pivot_table(value, ["kernel", "epochs"], across).sort_index(ascending=[0, 1])
    numbers = table.map("{:.2f}".format).to_numpy()
    lines = [[*key, *line] for key, line in zip(table.index, numbers, strict=True)]
    return markdown(["kernel", "epochs", *titles], lines)


if __name__ == "__main__":
    main()
