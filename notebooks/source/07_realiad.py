# %% [markdown] tags=["card"]
# # 7 Go to Real-IAD
#
# **You build** a whole experiment on Real-IAD: from the check of the data to a table beside the
# published results and a model that others can use.
#
# **You will be able to** get Real-IAD and check it, say which positions of a map show the object,
# estimate what a run takes before it starts, run, kill and resume it, hand it to many machines,
# set Multi-Flow beside its controls, compare results by their rules, and publish a model.
#
# **You need** the model and the metrics of [lesson 5](05_multiflow.ipynb).
#
# **Time and memory** on a laptop with two cores: 45 minutes to read and try, 75 with the exercises;
# 15 minutes to run on mini-iad (three with `MFKIT_FAST=1`, which `make workshop` sets), 2 GB. On
# Real-IAD a GPU is needed to have all 30 categories within a day.
#
# **From mfkit** `check`, `object_mask`, `to_positions`, `quiet_background`, `run`, `run_study`,
# `standard_error`, `against_published`, `deploy`.

# %% tags=["setup"]
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import tqdm.auto
from IPython.display import Image
from torch.nn import functional as F

FAST = os.environ.get("MFKIT_FAST") == "1"
bars = functools.partialmethod(tqdm.auto.tqdm.__init__, disable=FAST)
tqdm.auto.tqdm.__init__ = bars  # none in stored outputs

warnings.filterwarnings("ignore", category=SyntaxWarning)  # FrEIA's first import on Python 3.12+
import mfkit
from mfkit import FLIPS, PALETTE, PRESETS, DataSet, FeatureStore, ForegroundStore, auroc, categories
from mfkit import against_published, course, dilate, image_scores, load_flow, object_mask, render
from mfkit import quiet_background, read_category, read_results, standard_error

# %% tags=["setup"]
DATA, REAL = course.find_realiad()  # REALIAD_ROOT, or mini-iad
NAMES = categories(DATA)
CATEGORY = NAMES[0] if REAL else "screw_block"  # the one that we look at
CHOSEN = [CATEGORY]  # those that are trained; NAMES takes all
GPU = torch.cuda.is_available()
PRESET = "paper" if REAL and GPU else "standardized"
TRAIN, EACH = (48, 10) if FAST else (None, None)  # samples to use; None takes all
SIZE = {"blocks": 2, "hidden": 16} if FAST else {}  # of the flow; {} takes the preset's
EPOCHS = 8 if FAST else PRESETS[PRESET].training.epochs  # its own: 40 of the paper
SEEDS = [0] if FAST else [0, 1, 2]
torch.set_num_threads(1 if FAST else torch.get_num_threads())  # small tensors need no helpers

# %% [markdown]
# You have built the method and looked inside it. What is missing is the data set that it was made
# for. This lesson is the way from a laptop to a published number: get the data, check it, estimate,
# run, compare, publish. It works on two data sets *with the same code*.

# %% alt="The whole method in colour, from pictures to scores, with 7 Real-IAD marked"
if REAL:
    print(f"Working on Real-IAD in {DATA}, with the preset {PRESET}.")
else:
    print("Working on mini-iad, the pictures that ship with the course.")
    print("Nothing below is a result on Real-IAD.")
course.method("realiad")

# %% [markdown]
# The cell above says on which data all numbers below were computed. The stored outputs of this
# page come from **mini-iad**. A number on mini-iad says that the machinery works. It says nothing
# about how good the method is on Real-IAD, and nothing here pretends that it does.
#
# ## Get Real-IAD
#
# Real-IAD (CVPR 2024, [arXiv 2403.12580](https://arxiv.org/abs/2403.12580)) has 30 categories of
# small industrial parts. Five cameras look at each part, one from above and four from the sides:
# 151,050 images of 30,210 samples. Its terms are part of the task:
#
# * **Access must be asked for.** The owners of the data set have a form on the page of their
#   project. You state who you are and what for.
# * **CC BY-NC-SA 4.0.** You may use it for research if you name it. You may not sell what you make
#   of it, and what you pass on bears the same licence. So nothing of it is shipped with this
#   course, not even one picture.
#
# There are four sizes: 256 px (4 GiB), 512 px (14 GiB), 1024 px (54 GiB) and the raw pictures (507
# GiB). The paper reads the images at 768 px, so take 1024. Unpack everything into one folder, and
# name this folder before you open the course:
#
# ```
# ROOT/realiad_1024/audiojack/OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg
# ROOT/realiad_jsons/audiojack.json
#
# REALIAD_ROOT=/path/to/ROOT make lab
# ```
#
# Each category has one JSON file. Lesson 1 read such a file: its rows say which image belongs to
# which split, and where the mask of the defect lies.

# %%
print(f"{len(NAMES)} categories: {', '.join(NAMES[:3])}{' ...' if len(NAMES) > 3 else ''}")
print(f"of the {len(FLIPS)} of Real-IAD, {len(set(NAMES) & set(FLIPS))} are here")

# %% [markdown]
# ## Check it before you trust it
#
# 54 GiB do not come through a network without a scratch. An archive was unpacked twice, a disk was
# full, a file has zero bytes. Training would find out after hours, or never. `check` looks at
# every row of the index and decodes every image. It does not stop at the first fault. It lists all
# of them, each with the file and a way to mend it. In a shell it is `python -m mfkit check --data
# ROOT`, and its exit code tells a script whether all is well.

# %%
report = mfkit.check(DATA, CHOSEN, progress=False)
print(report.samples)
print("\nfaults:", len(report.faults))
if not report.ok:
    print(report)  # mend these first

# %% [markdown]
# If all 30 categories are there, `check` also compares the totals with the published ones: 36,465
# training and 114,585 test images. One peculiarity is worth knowing: 26,881 test images lie in
# folders of *defective* samples and are labelled sound, because the defect does not show in that
# view. Labels are in the rows, not in the names of folders.
#
# ## Begin with a few samples
#
# A category of Real-IAD has about 5,000 images. Before you spend hours, do everything once with a
# few samples. The loader knows only what the JSON file tells it. So a smaller data set is a
# smaller JSON file beside a link to the same images.


# %% tags=["setup"]
def shorten(root, category, train, each, target):
    """An index of `train` training samples, `each` sound and `each` defective test samples."""
    data = DataSet(root)
    file, images = data.file(category), data.images
    table, whole = json.loads(file.read_text()), read_category(data, category)
    sound = [sample for sample in whole.test if not sample.label]
    bad = [sample for sample in whole.test if sample.label]
    bad = bad[:: max(1, len(bad) // (each or len(bad)))]  # of all codes
    chosen = [*whole.train[:train], *sound[:each], *bad[:each]]
    kept = {path for sample in chosen for path in sample.images}
    base = images / table["meta"]["prefix"]
    for split in ("train", "test"):
        table[split] = [row for row in table[split] if base / row["image_path"] in kept]
    index = Path(target) / "realiad_jsons" / file.name
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text(json.dumps(table))
    link = Path(target) / (images.name if images.name.startswith("realiad_") else "realiad_raw")
    link.unlink(missing_ok=True)
    link.symlink_to(images.absolute())


# Everything that this lesson writes. On Real-IAD it is kept, so that a run can go on tomorrow; few
# samples and all of them have folders of their own.
KEPT = course.find_data().parents[1] / "runs" / "lesson-7" / ("few" if FAST else PRESET)
WORK = KEPT if REAL else Path(tempfile.mkdtemp())
FEW = WORK / "data"
for name in CHOSEN:
    shorten(DATA, name, TRAIN, EACH, FEW)
category = read_category(FEW, CATEGORY)

# %%
sound = sum(not sample.label for sample in category.test)
print(f"{len(category.train)} training samples")
print(f"{sound} sound and {len(category.test) - sound} defective test samples")

# %% [markdown]
# ## Which positions show the object?
#
# Look at one sample. Much of every picture is table, not object. The flow would spend its effort
# on the likelihood of a table, and a thread of dust on it would be an alarm. The paper leaves the
# background out. It takes masks from a large network (MVANet). For a plain ground something
# smaller will do: **the border of the picture shows the ground, so what differs from the border is
# the object.** `object_mask` fits a smooth surface to the colour of the border, continues it
# inwards, and keeps what is far from it. Then gaps are closed, holes are filled, and the mask grows
# by a small margin. `to_positions` then shrinks the mask to the positions of the feature map: one
# counts if any of its pixels does.


# %%
def to_positions(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    pixels = torch.from_numpy(np.ascontiguousarray(mask)).float()[None]
    return F.adaptive_max_pool2d(pixels, (height, width))[0].bool().numpy()


# %% alt="Five views of a part, an outline around each; below, the positions inside it in white"
sample = category.train[0]
images = [sample.image(view, 256) for view in range(5)]
found = [object_mask(image) for image in images]
H, W = (24, 24) if PRESET == "paper" else (16, 16)
positions = [to_positions(mask, H, W) for mask in found]
figure, axes = plt.subplots(2, 5, figsize=(11, 4.6), layout="constrained")
for view in range(5):
    axes[0, view].imshow(images[view])
    axes[0, view].contour(found[view], [0.5], colors=PALETTE["truth"], linewidths=1)
    axes[0, view].set_title(f"C{view + 1}", fontsize=9)
    axes[1, view].imshow(positions[view], cmap="gray", vmin=0, vmax=1)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
shares = np.mean(positions, axis=(1, 2))
print("share of positions that count, C1 to C5:", *(f"{share:.0%}" for share in shares))
print(
    "every view shows the object and some ground:", bool(((shares > 0.1) & (shares < 0.95)).all())
)

# %% [markdown]
# Above, the contour runs around the part, and a shadow beside it is left out: a shadow is *darker*
# than the ground but has the same hue, so it counts little. Below is what the flow gets to know:
# white positions count, black ones do not.
#
# How good is it? The renderer of mini-iad knows where each part is. The intersection over union
# of `object_mask` (without the margin) with the renderer's own masks is on average 0.97 for
# `screw_block`, 0.97 for `control_knob` and 0.98 for `cast_flange`. It fails where its idea fails:
# a black knob on a black table has parts in the very colour of the ground, and only because gaps
# are closed does the mask survive. On a ground with a pattern, use something else:
#
# | `--foreground` | masks |
# |---|---|
# | `none` | every position counts (the other presets) |
# | `border` | the model of the border's colour (the paper preset) |
# | `rembg` | a deep network; the package rembg fetches its weights at first use |
# | a folder | your own masks, PNG files named like the images, or the stacks of the released code |
#
# ### Thin things
#
# A position of the map stands for 16 by 16 pixels, or 32 by 32 of the paper's. How do you shrink a
# mask? *Nearest* takes one pixel of each cell. Try it on a wire, small enough to read:

# %%
wire = np.zeros((8, 8), dtype=bool)
wire[:, 5] = True
print("nearest:", wire[2::4, 2::4].tolist())
print("any:    ", to_positions(wire, 2, 2).tolist())

# %% [markdown]
# The nearest pixel misses the wire, and with the wire every defect on it. So here a position is
# foreground if *any* of its pixels is. It errs towards more foreground. That is the harmless side:
# a bit of table costs little, a lost pin costs the pin.
#
# ### Zero is not small
#
# Leaving out the background has the trap that you know from lesson 3. The natural way is to
# multiply: $m = 0$ in the background, so its score is 0. But a score is a negative log-likelihood
# without its constant, and a sound position of a trained flow often scores *below* 0. Then the
# largest score of a sound image is the 0 of its background. Two sound images, by hand:

# %%
nll = torch.tensor([[[[-0.9, -0.2, 0.0, 0.0]], [[-0.8, -0.6, 0.0, 0.0]]]])  # (B, V, H, W)
shows = torch.tensor([True, True, False, False]).expand(nll.shape)
print("with zeros:", [round(s, 2) for s in image_scores(nll)[0].tolist()])
quiet = quiet_background(nll, shows)
print("without:   ", [round(s, 2) for s in image_scores(quiet)[0].tolist()])
print(quiet[0, :, 0].double().round(decimals=2).tolist())

# %% [markdown]
# With zeros both images tie at 0, though the first one is more unusual. `quiet_background` gives
# the background the *lowest* score of the foreground of its image. So it never is a maximum, and no
# pixel metric calls the table defective. The released code of Multi-Flow has the zeros. It is one
# reason why a number can differ from the published one although the model is the same.
#
# The loss needs no trick. It is the mean over the positions that count.
#
# ## One command
#
# Everything from pictures to results is `run`. In a shell, for all of Real-IAD:
#
# ```
# python -m mfkit run --data ROOT --preset paper --amp bfloat16
# ```
#
# `--amp bfloat16` lets the couplings' networks compute in 16 bits, which GPUs do much faster;
# log-determinants and sums stay in float32. On most processors it is slower, so it is left away
# below where there is no GPU.
#
# Before the work starts, `run` says what it takes, and stops if the disk has no room for it. Then
# come features, foreground, training and evaluation.

# %% tags=["setup"]
OUT = WORK / "run"
home = OUT / CATEGORY
settings = {"preset": PRESET, "foreground": "border", "epochs": EPOCHS, **SIZE}
settings |= {"amp": "bfloat16"} if GPU else {}

# %% [markdown]
# ## Kill it, start it
#
# A run over 30 categories takes hours, and a machine does not always last that long. So the rule
# is: *type the same command again*. What is finished is not done again, and training goes on from
# the checkpoint of the last whole epoch. This is not a second kind of start that nobody tests. It
# is the only one: a fresh run is one that finds nothing.
#
# Try it the hard way. The next cell gives the command as a shell would, waits until an epoch is on
# the disk, and kills it with signal 9, which nobody can catch.

# %%
options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
command = ["-m", "mfkit", "run", "--data", FEW, "--out", OUT, "--category", *CHOSEN, *options]
with open(WORK / "run.log", "w") as log:
    process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
while process.poll() is None and not (home / "history.csv").exists():
    time.sleep(0.05)
process.kill()
process.wait()
if not (home / "history.csv").exists():
    raise RuntimeError(f"The command failed: see {WORK / 'run.log'}.")
before = pd.read_csv(home / "history.csv")
print(f"killed after ~{len(before)} epochs of {EPOCHS}; at least one: {len(before) >= 1}")

# %% [markdown]
# The same again, as a function this time. It finds features, foreground and a checkpoint.

# %% tags=["setup"]
results = mfkit.run(FEW, OUT, CHOSEN, **settings)

# %%
after = pd.read_csv(home / "history.csv")
print(f"epochs in the end: {len(after)}, asked for: {EPOCHS}")
print("the first ones were not repeated:", after[: len(before)].equals(before))
first, last = after.loss.iloc[[0, -1]]
print(f"loss in the first epoch ~{first:.2f}, in the last ~{last:.2f}: it fell: {last < first}")

# %% [markdown]
# (The losses are above zero, unlike those of lesson 5: this preset counts the standardising of
# features in the likelihood, as it must for a density of the features themselves. That adds one
# constant to all scores.) The history also holds the seconds of each epoch. They are the same as
# before, to the last digit, so nothing was computed twice. If one category fails (a broken image, a
# loss that is not finite), the others go on, and the trouble is reported at the end.
#
# ## What came out
#
# A run leaves these files. Features and masks are on the disk, too, and are read as needed: a
# category of Real-IAD takes 1.8 GB as float16. The released code keeps 3.5 GB of them in memory.

# %%
row = results["categories"][CATEGORY]
print(*(path.name for path in sorted(home.glob("[!.]*"))), sep="\n")
print(f"samples scored: {row['samples']} of {len(category.test)}")

# %% [markdown]
# And the numbers. In the names of metrics S, I and P stand for samples, images and pixels; P-AP is
# the average precision of pixels, the area under precision over recall. An AUROC of a few samples
# is itself a guess: `standard_error` says by how much it would change with other samples of the
# same kind. What does not stand two standard errors above 50 cannot be told from chance, whatever
# it is called. Say so before anybody else does.

# %% tags=["nbval-ignore-output"]
labels = [sample.label for sample in category.test]
print(f"{labels.count(False)} sound and {labels.count(True)} defective samples")
for key, rule in (("s_auroc", "maximum"), ("s_auroc_mean", "mean")):
    error = standard_error(row[key], labels)
    verdict = "above chance" if row[key] - 2 * error > 0.5 else "NOT ABOVE CHANCE"
    print(f"S-AUROC by the {rule} rule: {100 * row[key]:.0f} ± {100 * error:.0f}, {verdict}")

# %% alt="The samples that look soundest and worst to the flow, with their maps on one scale"
Image(home / "overview.png", alt="The least and the most anomalous samples, with their score maps")

# %% [markdown]
# Above are the samples that look soundest to the flow and those that look worst, each with its
# score maps; all maps share one scale. Is the ground truth, the contour, where the map is bright?
# A sample with contours among the soundest was missed; one without among the worst is a false
# alarm: what did the flow see there?
#
# ## Many machines
#
# The 30 categories do not need each other. So they can be handed out, and `run` does it with Dask,
# an engine that many clusters already run:
#
# ```
# ... --cluster local             one worker a GPU, here
# ... --cluster tcp://HOST:8786   join a running cluster
# ... --cluster slurm             ask a queue for machines
# ```
#
# All machines must see the data and the results under one path. The files that come out are the
# same, and so are the numbers: a test trains 30 small categories once on one process and once on
# two workers, and compares every metric. In a third run it kills a worker in the middle of a
# category (with signal 9, which nobody can catch; eight categories are enough there). Another
# worker goes on from the checkpoint, so the accident costs one epoch.
#
# How long will it take? Count first, then divide. The flow of the paper has 64 million weights.
# Each weight is used at 24 by 24 positions, with one multiplication and one addition, and a
# training step costs about three times a pass:

# %%
weights, positions_of_map = 64.1e6, 24 * 24
pass_of_sample = 2 * weights * positions_of_map  # operations, all five views
train_all = 3 * pass_of_sample * 7_293 * 40  # 7,293 samples, 40 epochs
score_all = pass_of_sample * 22_917
print(f"a sample, one pass: {pass_of_sample / 1e9:.0f} billion operations")
print(f"training, 30 categories: {train_all / 1e15:.0f} million billion")
print(f"scoring the test split: {score_all / 1e15:.1f} million billion")
for name, rate in (("two cores, 200 billion a second", 200e9), ("large GPU, 40 thousand", 40e12)):
    print(f"{name}: {(train_all + score_all) / rate / 3600:,.1f} hours")

# %% [markdown]
# A weight belongs to one view, so five views do not cost five times as much. The first rate was
# measured, the second is an assumption: what a chip reaches depends on the shapes, and is far below
# the number on its box. Before that comes the backbone, once for each of 151,050 images. On our two
# cores it takes 1.1 seconds an image, which makes 45 hours more; a GPU takes less than one.
# `tests/benchmarks/realiad.py` measures the rates of the machine it runs on and makes the estimate
# from them.
#
# ## The whole experiment
#
# One number says little. Is it the messages, or would five flows that never talk have done as well?
# Would five *larger* ones? Would a Gaussian, which is fitted in seconds? And is the difference more
# than the luck of a seed? A **study** answers all of it: every category, three seeds, Multi-Flow
# and its three controls.
#
# ```
# python -m mfkit study --data ROOT --preset paper --amp bfloat16 --out runs/real-iad
# ```
#
# It takes the options of `run`, `--cluster` among them, and it is killed and resumed in the same
# way. A category's features are computed once, serve all its ten trials, and are deleted behind
# them (`--keep-features` keeps them). First of all a study says what it takes: it does one step of
# each model and reads a few images **on this machine**, and multiplies. `--plan` stops there.

# %% tags=["nbval-ignore-output"]
VARIANTS = None if REAL and not FAST else ["wheel", "gaussian"]  # None: all of them
recipe = settings | {"seeds": SEEDS, "variants": VARIANTS}
mfkit.run_study(FEW, WORK / "study", CHOSEN, **recipe, plan_only=True)

# %% [markdown]
# On Real-IAD, with all samples, multiply by 30 for all categories; from mini-iad, or from few
# samples, nothing follows for Real-IAD. If it is more than you can wait for, take fewer seeds, or
# more machines. The next cell does it, with `CHOSEN = NAMES` at the top for all
# categories; here with one control, so that you need not wait.

# %% tags=["nbval-ignore-output"]
trials = mfkit.run_study(FEW, WORK / "study", CHOSEN, **recipe)
trials.groupby("variant").mean(numeric_only=True).drop(columns="seed").round(1)

# %% [markdown]
# Is Multi-Flow ahead of the Gaussian? If not, you have learned what its authors' table cannot tell
# you: how much of the figure is the features' merit. `results.html` in the folder of the study has
# the rest, and grows while categories are finished: a table with the spread over seeds, the
# difference to each control paired by category, what is found by code, by size and by the number
# of views that show it, what happens if cameras fail, and the ten worst misses and false alarms as
# pictures. Look at those first.

# %%
page = (WORK / "study" / "results.html").read_text()
for title in ("What the messages are worth", "In pictures", "The worst misses", "false alarms"):
    print(f"{title}:", title in page)

# %% [markdown]
# Real-IAD comes with other splits in the same form: `realiad_jsons_sv` (one camera) and
# `realiad_jsons_fuiad_0.1` and others, whose training part holds defects that nobody has marked.
# `--jsons realiad_jsons_fuiad_0.1` takes such a split; give it an `--out` of its own.
#
# ## Beside the published results
#
# Now the table: what others have published, and the run, which we look at afterwards. Every figure
# has its **rule**: how five image scores become the score of a sample. The official tool takes the
# maximum, the released Multi-Flow the mean. You know from lesson 5 that the two can differ by
# several points. A table that mixes them without a word is worth little.

# %%
frame = against_published(OUT)
frame.loc[frame.source != "this run"]

# %% [markdown]
# Read it with care. *One a category* means that 30 models were trained; *one for all* is the harder
# task of a single model for all 30. `NaN` means that the figure was not given. Multi-Flow's
# figures per category could not be found, so there is nothing to compare a single category with.
# And the rows of this run are:

# %%
own = frame.loc[frame.source == "this run"]
print(own[["rule", "source"]].to_string())
figures = own.iloc[:, :4].stack()
print(f"figures between ~{figures.min():.0f} and ~{figures.max():.0f} percent")
print("comparable with the published means:", "mean of the 30" in own.index)

# %% [markdown]
# The name of the mean says how many categories it is a mean of. Until it says *30*, it must not
# stand beside the others in a paper. For a paper the same table comes as LaTeX:
#
# ```
# python -m mfkit table OUT --published --format latex
# ```

# %%
print("\n".join(render(frame, "latex").split("\n")[:4]))

# %% [markdown]
# ### Ask the official tool
#
# Do not believe a metric because you wrote it. Real-IAD has an official tool, ADEval. `export`
# writes what it reads: for every image the map, the score, and the path of the mask. A test feeds
# such a file to the tool's own command line and compares our metrics with the tool's.

# %%
entries = pd.read_pickle(mfkit.export(OUT, CATEGORY))
(path, (values, score, mask)), *_ = entries.items()
print("images:", len(entries), " a map:", values.shape, values.dtype)
print(
    "images without a mask, that is without a defect:",
    sum(m is None for _, _, m in entries.values()),
)

# %% [markdown]
# ## Publish a model
#
# A result that others cannot run is a rumour. `deploy` writes two files. The first is here the
# function *features to scores* as one program: PyTorch runs it without `mfkit` and without FrEIA.
# `README.md` is a model card, filled from the results: what it is, how it was trained, what it
# reached by which rule, where it fails.

# %%
program, card = mfkit.deploy(OUT, CATEGORY, takes="features")
lines = card.read_text().splitlines()
print("\n".join(lines[:4]))
print("...")
print("\n".join(line for line in lines if line.startswith("## ")))

# %% [markdown]
# Does the program give the scores of the flow? Test it on features that it has never seen. It was
# trained on the foreground, so it must be told where that is.

# %%
made = OUT / "features" / PRESETS[PRESET].backbone / CATEGORY
store = FeatureStore(made / "test.f16")
x = store[:3]
shows = ForegroundStore(made / "test-border.bool")[:3]
elsewhere = torch.export.load(program).module()
with torch.no_grad():
    maps, image, whole = elsewhere(x, shows)
    z, log_det = load_flow(home / "model.pt")(x)
ours = quiet_background((0.5 * z.square().sum(2) - log_det) / z.shape[2], shows)
print("score maps:", tuple(maps.shape), " samples:", tuple(whole.shape))
off = (maps - ours).abs().max().item()
print(f"the same maps: {off < 1e-4}, to ~{off:.0e}")
scores = torch.tensor(pd.read_csv(home / "scores.csv").score[:3].values, dtype=torch.float32)
off = (whole - scores).abs().max().item()
print(f"the sample scores of the run: {off < 1e-4}, to ~{off:.0e}")

# %% [markdown]
# The weights in `model.pt` are read with `weights_only=True`. An old-style file of weights is a
# program that can do anything on the machine that opens it; this one can only be numbers. The card
# leaves one section open on purpose, the licence of the data. Weights trained on Real-IAD are for
# research, and whoever publishes them says so.
#
# ## What we have built
#
# * A data set is **checked** before it is used, and all faults are listed at once.
# * The **foreground** keeps the table out of loss and scores. Its background must not be 0, and its
#   thin parts must not be lost.
# * A run **says what it takes**, resumes at any point, and gives the same result on one machine or
#   many.
# * A figure needs its **rule** and its source. A mean needs its number of categories.
# * A model goes out with a **card**, and with a program that was compared with the original.
#
# That is the end of the course. You started from a folder of pictures and one line of algebra. Now
# you can say what each term of the score does, and you can take it to the data that it was made
# for. If you have Real-IAD: set `REALIAD_ROOT`, and run this page again.
#
# ## Exercises
#
# Each cell ends with a check that says whether the answer is right.

# %% [markdown] tags=["exercise"]
# **1. Predict, then run.** The margin of a mask is 2 pixels in a picture of 256. A round part with
# a radius of 40 pixels grows by this margin. By which share does its area grow? Write down your
# prediction (0.1 would be one tenth), then measure `grown` with `dilate(mask, radius)`.
#
# <details><summary>Hint</summary>The area of a disc goes with the square of its radius.
# <code>part.sum()</code> counts pixels.</details>

# %% tags=["exercise"]
y, x = np.mgrid[:256, :256]
part = np.hypot(y - 128, x - 128) <= 40
predicted, grown = ..., ...
# --- solution ---
predicted = (42 / 40) ** 2 - 1
grown = dilate(part, 2).sum() / part.sum() - 1
print(f"predicted {predicted:.3f}, measured {grown:.3f}")
# The area goes with the square of the radius. A margin that looks harmless is a tenth of the area
# of a small part; on a position of 16 by 16 pixels it is hardly seen.
# --- check ---
assert grown is not ..., "put what you measured in place of the dots"
assert abs(grown - (dilate(part, 2).sum() / part.sum() - 1)) < 1e-6, "count pixels"
assert abs(predicted - grown) < 0.02, "the prediction is another one"

# %% [markdown] tags=["exercise"]
# **2. One table, two rules.** `scores.csv` holds the five image scores of every test sample.
# Compute the S-AUROC by the maximum and by the mean into `areas`, and compare with `results.json`.
# Which of the two would you print beside Multi-Flow's published 95.85?
#
# <details><summary>Hint</summary><code>five.max(axis=1)</code> is the score of a sample by one
# rule, and <code>auroc(labels, scores)</code> takes the labels first.</details>

# %% tags=["exercise"]
scores = pd.read_csv(home / "scores.csv")
five = scores[["C1", "C2", "C3", "C4", "C5"]]
areas = {"s_auroc": ..., "s_auroc_mean": ...}
# --- solution ---
areas["s_auroc"] = auroc(scores.label, five.max(axis=1))
areas["s_auroc_mean"] = auroc(scores.label, five.mean(axis=1))
for key, area in areas.items():
    error = standard_error(area, scores.label)
    print(f"{key:12} ~{100 * area:.0f} ± ~{100 * error:.0f} percent")
# The mean: the published figure follows the mean rule. (And it is a mean over 30 categories, of
# some 760 test samples each on average, so its error is far smaller than ours.)
# --- check ---
assert ... not in areas.values(), "put what you computed in place of the dots"
stored = read_results(OUT)["categories"][CATEGORY]
for key, area in areas.items():
    assert abs(area - stored[key]) < 1e-6, f"{key} is stored as {stored[key]:.3f}"

# %% [markdown] tags=["exercise"]
# **3. Does it fit?** Features of the paper's backbone are 304 by 24 by 24 for each of the 151,050
# images. How many GB (billion bytes) are that as float16, and as float32? The model of a category
# has 64.1 million weights; its checkpoint holds them and two moments of AdamW. How many GB are 30
# checkpoints?
#
# <details><summary>Hint</summary>A float16 has 2 bytes, a float32 has 4. A checkpoint holds three
# float32 for each weight.</details>

# %% tags=["exercise"]
gigabytes = {"float16": ..., "float32": ..., "checkpoints": ...}
# --- solution ---
numbers = 151_050 * 304 * 24 * 24
gigabytes = {"float16": 2 * numbers / 1e9, "float32": 4 * numbers / 1e9}
gigabytes["checkpoints"] = 30 * 3 * 4 * 64.1e6 / 1e9
for what, amount in gigabytes.items():
    print(f"{what:11} {amount:6.1f} GB")
# A disk of 100 GB will do for float16. 'run' computes this for your data before it starts.
# --- check ---
assert ... not in gigabytes.values(), "put what you computed in place of the dots"
assert abs(gigabytes["float16"] - 52.9) < 0.5, "images, times numbers, times bytes"
assert abs(gigabytes["float32"] / gigabytes["float16"] - 2) < 0.01, "float32 is twice as long"
assert abs(gigabytes["checkpoints"] - 23.1) < 0.3, "weights and two moments, of 30 categories"

# %% [markdown] tags=["exercise"]
# **4. Find the trap.** Somebody evaluates after every epoch on the test split and reports the best
# S-AUROC. Simulate it: 40 epochs whose true AUROC is always 0.90, each measured with an error of
# 0.03. What does the report say on average (`reported`)? And one that fixes the epoch beforehand
# (`honest`)? How would you choose the number of epochs?
#
# <details><summary>Hint</summary>Each row of <code>measured</code> is a report: its best number is
# a maximum along an axis, and one epoch fixed beforehand is a column.</details>

# %% tags=["exercise"]
rng = np.random.default_rng(0)
measured = 0.90 + 0.03 * rng.standard_normal((1000, 40))  # 1000 reports of 40 epochs
reported, honest = ..., ...
# --- solution ---
reported = measured.max(axis=1).mean()
honest = measured[:, -1].mean()
print(f"one epoch fixed beforehand {honest:.3f}, the best of 40 {reported:.3f}")
# More than six points from nothing: the largest of 40 normal numbers lies about 2.2 standard
# deviations above their mean, and 2.2 times 0.03 is 0.065. (Errors of neighbouring epochs are alike
# in truth, so the gain is smaller, but not zero.) Fix the epochs beforehand, or choose them on
# sound samples kept aside.
# --- check ---
assert reported is not ..., "put what you computed in place of the dots"
assert abs(reported - measured.max(axis=1).mean()) < 1e-6, "first the best, then the mean"
assert abs(honest - 0.90) < 0.005, "one column of the simulation"

# %% [markdown]
# ## Further reading
#
# * Wang and others, *Real-IAD*, 2024, [arXiv 2403.12580](https://arxiv.org/abs/2403.12580): the
#   data set and its rules.
# * Kruse and Rosenhahn, *Multi-Flow*, 2025, [arXiv 2504.03306](https://arxiv.org/abs/2504.03306):
#   the model and its settings.
# * Mitchell and others, *Model Cards for Model Reporting*, 2018,
#   [arXiv 1810.03993](https://arxiv.org/abs/1810.03993): what a card should say.
# * Gebru and others, *Datasheets for Datasets*, 2018,
#   [arXiv 1803.09010](https://arxiv.org/abs/1803.09010): the same for data.
