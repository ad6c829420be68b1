# %% [markdown] tags=["card"]
# # 6 Explore the latent space
#
# **You build** a small explorer, and look into a trained flow with the large one: change a view,
# mute a message, take a camera away, and see which cameras notice.
#
# **You will be able to** write a widget whose state is plain numbers, judge by eye and by number
# whether latents are Gaussian, take a score apart, say which camera told which one what, and walk
# from one object to another through the latent space.
#
# **You need** the model of [lesson 5](05_multiflow.ipynb) and the messages of
# [lesson 4](04_messages.ipynb).
#
# **Time and memory** on a laptop with two cores: 50 minutes to read and try, 90 with the exercises,
# or as long as you like; 5 minutes to run (one to two with `MFKIT_FAST=1`, which `make workshop`
# sets), 2 GB.
#
# **From mfkit** `Latents`, `Question`, `LatentExplorer`, `save_flow`, `who_helps`.

# %% tags=["setup"]
import functools
import os
import warnings

import ipywidgets as widgets
import numpy as np
import torch
import tqdm.auto
from matplotlib.figure import Figure
from scipy.stats import norm

FAST = os.environ.get("MFKIT_FAST") == "1"
tqdm.auto.tqdm = functools.partial(tqdm.auto.tqdm, disable=FAST)  # no bars in stored outputs

warnings.filterwarnings("ignore", category=SyntaxWarning)  # FrEIA's first import on Python 3.12+
import mfkit
from mfkit import PALETTE, FeatureStore, LatentExplorer, Latents, MultiFlow, Question, Split
from mfkit import Training, ViewGraph, course, load_backbone, nll_map, read_category, save_flow
from mfkit import standard_error, who_helps

# %% tags=["setup"]
SIZE = 128 if FAST else 256  # px: edge of a picture; 16 px become one position of a feature map
EPOCHS = (1, 2, 3, 4, 6, 8) if FAST else (1, 2, 4, 7, 12, 20)  # after which the wheel is saved
RATE = 4e-3 if FAST else 2e-3  # learning rate: few steps must be longer ones
torch.set_num_threads(1 if FAST else torch.get_num_threads())  # small tensors need no helpers
DATA = course.find_data()  # says what to do when the folder is not there
CACHE = DATA.parent.parent / "runs" / "course"

# %% [markdown]
# The model is trained, its table of AUROCs is written. Do we *understand* it? A table says how
# often it is right, and not why. Today we build a tool to look inside and to push things around,
# and use it to ask a trained flow the questions that were left open.

# %% alt="The whole method in colour, from pictures to scores, with 6 explore marked"
course.method("explore")

# %% [markdown]
# ## Two flows, and one of them six times
#
# First we need something to look at: the **wheel** and the **separated** flow of lesson 5, on the
# same standardised features. The library's `train` continues where an earlier call stopped. So we
# can ask it for one epoch, save the flow, ask for more, and save again: that keeps the wheel at six
# ages. **The files are kept** in `runs/course` (about 350 MB), and the second time this cell only
# looks them up. Delete the folder to free the space.

# %% tags=["setup"]
category = read_category(DATA, "screw_block")
backbone = load_backbone("efficientnet_lite0")
backbone.size = SIZE  # any multiple of 16 px will do
stores = {
    split: FeatureStore.build(CACHE / f"{SIZE}px" / f"{split}.f16", samples, backbone)
    for split, samples in (("train", category.train), ("test", category.test))
}
x_train, x_test = (store[:] for store in stores.values())
mean, deviation = (f(x_train, dim=(0, 1, 3, 4)).reshape(-1, 1, 1) for f in (torch.mean, torch.std))
x_train, x_test = (x_train - mean) / deviation, (x_test - mean) / deviation
train, test = Split(category.train, x_train), Split(category.test, x_test)


# %% tags=["setup"]
def trained(name, graph, epochs, seed=0):
    """Files of a flow after each of these numbers of epochs; trained once, then looked up."""
    ages = "-".join(map(str, epochs))
    folder = CACHE / f"{SIZE}px" / stores["train"].fingerprint[-8:] / f"{name}-{ages}"
    torch.manual_seed(seed)
    flow = MultiFlow(112, SIZE // 16, SIZE // 16, graph, blocks=4, hidden=32, seed=seed)
    paths = [folder / f"epoch-{epoch}.pt" for epoch in epochs]
    for epoch, path in zip(epochs, paths, strict=True):
        if not path.exists():
            training = Training(epochs=epoch, batch=8, learning_rate=RATE, clip_norm=1.0)
            mfkit.train(flow, train, training, folder, seed)
            save_flow(flow, path)
    return paths


# %% tags=["setup"]
ages = trained("wheel", ViewGraph.wheel(), EPOCHS)

# %% tags=["setup"]
(separated,) = trained("separated", ViewGraph.empty(), EPOCHS[-1:])

# %% [markdown]
# ## Compute first, then index
#
# A tool is only used if it answers at once. When you move a slider and wait for a second, you have
# forgotten what you wanted to see. Our flow needs about a tenth of a second for one object, and a
# picture takes as long again. So here is the one rule of this lesson: **compute everything that can
# be computed before the tool opens; a slider only picks a row of a table.**
#
# Start with a table that you can read. Three blocks, each of which makes four numbers from four
# numbers. We keep what comes out of every block, and count how many numbers fall into each of three
# bins.

# %%
steps = np.array([[-3.0, -3.0, 3.0, 3.0], [-2.0, -1.0, 0.5, 2.0], [-1.0, 0.0, 0.2, 0.9]])
bins = np.array([-4.0, -0.5, 0.5, 4.0])
counts = np.stack([np.histogram(step, bins)[0] for step in steps])
print(counts)
print("after block 2:", counts[2])

# %% [markdown]
# Moving a slider to block 2 is `counts[2]`: nothing is left to compute. Here is a small explorer
# with one slider, which we first try on random numbers. It has the form that you have seen in
# lesson 2, and each part has a reason:
#
# * `figure()` is **pure**: it draws what the slider says on a figure of its own. It remembers
#   nothing, so it cannot show something stale, and no figure is left behind in memory.
# * `state()` says in **plain numbers** what is shown. Whoever has the state has the picture.
# * `__repr__` shows the state. So a test can compare it, also where no browser is.
# * `continuous_update=False`: the slider reports where it was let go, not every pixel of its way.
# * The axes have **fixed limits**. If they moved with the data, you could not compare two settings.


# %%
class ExplorerV1(widgets.VBox):
    """Numbers after each block of a flow against N(0, 1)."""

    def __init__(self, steps, bins=np.linspace(-4, 4, 41)):  # noqa: B008
        self.bins = bins
        self.heights = [np.histogram(step, bins, density=True)[0] for step in steps]
        self.block = widgets.IntSlider(max=len(steps) - 1, continuous_update=False)
        self.picture = widgets.HTML()
        super().__init__([self.block, self.picture])

    def figure(self):
        figure = Figure(figsize=(5, 2.4), layout="constrained")
        ax = figure.subplots()
        ax.stairs(self.heights[self.block.value], self.bins, fill=True, color=PALETTE["sound"])
        ax.plot(self.bins, norm.pdf(self.bins), color=PALETTE["ink"])
        ax.set(ylim=(0, 1), xlabel="value", ylabel=f"density after block {self.block.value}")
        return figure

    def state(self):
        return {"block": self.block.value}

    def __repr__(self):
        return f"ExplorerV1({self.state()})"


# %% alt="Bars of random numbers follow the bell curve"
small = ExplorerV1(np.random.default_rng(0).standard_normal((3, 4000)) * [[2.0], [1.5], [1.0]])
small.block.value = 2
print(small)
small.figure()

# %% [markdown]
# The last of these three rows was drawn from N(0, 1), and the bars follow the curve. Two things are
# missing before you could give this to somebody. The picture must be put into the page whenever the
# slider moves (lesson 2 did it with a `widgets.Image`). And an error must be *shown*: a callback of
# a widget has no cell under which a traceback could appear, so errors get lost, and the user looks
# at an old picture and believes it. The library's explorer catches them and shows them where the
# picture was.
#
# ## The explorer
#
# `Latents` computes the table: for every test sample and every flow the latents, both terms of the
# score, histograms and quantiles after each block. It also cuts patches out of the training
# pictures, to show later on what features mean, and asks the training samples how well views
# usually agree. `LatentExplorer` puts controls and pictures around it. One table serves many of
# them: below, each question has an explorer of its own, which stays as the text describes it.

# %% tags=["setup"]
latents = Latents({"separated": separated, "wheel": ages[-1]}, test, train)
flow = latents.flows["wheel"]
sound = np.flatnonzero(~latents.labels)
brightest = int(latents.scores["wheel"].argmax())
whole = latents.whole["wheel"][0]

# %%
print("latents z:", whole.z.shape, " score map:", whole.nll.shape)
print("histograms after block 0 to 4, per view:", whole.density.shape)

# %% alt="The explorer: five pictures of a part with a stain, and score maps in which it burns"
stain = LatentExplorer(latents, {"sample": 78})
stain

# %% [markdown]
# With a running notebook you see the whole tool above; otherwise its picture alone: a part with a
# stain (ZW) on one side, which only one camera sees, and on its map the stain burns. On the left
# stands the **graph** of the views. Click on an arrow, and this message is muted; click on a view,
# and it is the chosen one, to be taken from another part or taken away with the buttons below.
# Under them is the chosen view with its map: click on it to choose a position. On the right are
# the eight **panels**, the controls of the chosen one, its picture (its maps and dots can be
# clicked on, too), and its numbers in words. Above: buttons for states that are worth a look, and
# a row to walk through all parts, the missed ones, the false alarms, or those of one code. What
# you did can be undone (↶), and kept as a bookmark; the last line is the state as code. All of it
# works by keyboard: Tab goes on, Enter presses, and in a map the arrows move the position.
#
# Colours mean the same everywhere: blue is sound (and N(0, 1), as the latents of sound parts should
# be) and orange defective, black is the model and green the one that you compare it with, and
# purple is what you have changed.
#
# The views are called C1 to C5 here, as on the disk: C1 is view 0, the camera above.
#
# One number rules several panels: the **threshold**. A sample's score is the maximum over its
# views, and an image's score is the maximum over its positions. So a sample is called defective
# exactly if *some position of some view* lies above the threshold. That is why one threshold can
# stand in the map (yellow outline), in the histogram of the set and on the ROC curve. It starts
# where 95 in 100 sound samples lie below it.
#
# Does the explorer show what the flow says? A tool that you do not check is a rumour. We compare
# its numbers with the flow itself.

# %%
with torch.no_grad():
    nll = nll_map(*flow(x_test[[78]]))
numbers = stain.numbers()
shown = np.array([*numbers["images"], numbers["score"]])
computed = np.array([*nll[0].amax((1, 2)).tolist(), nll.max().item()])
print("shown:    ", *(f"~{value:.3f}" for value in shown), "(C1 to C5, sample)")
print("computed: ", *(f"~{value:.3f}" for value in computed))
print("they agree to 0.002:", bool((np.abs(shown - computed) < 2e-3).all()))
print(stain, "with everything else as it was at the beginning")

# %% [markdown]
# ## Does it become Gaussian?
#
# The flow was trained to turn features into independent numbers from N(0, 1). Choose the panel
# *gaussian* and move the slider **block** from 0 to 4. Above are histograms of all latents of each
# view, below their **Q-Q plots**: each dot compares a quantile of the latents with the same
# quantile of N(0, 1). On the diagonal they agree; a flatter line means a narrower distribution.

# %% alt="After block 2: histograms of each view narrower than the bell, flat Q-Q lines"
LatentExplorer(latents, {"sample": 0, "panel": "gaussian", "block": 2})

# %%
spread = [step.std().item() for step in (x_test[[0]], *flow.trace(x_test[[0]]))]
print("standard deviation, features, then after each block:", *(f"~{s:.2f}" for s in spread))

# %% [markdown]
# After block 2 the histograms are *narrower* than the curve. Is that not wrong? The flow is in the
# middle of its work: nothing asks the numbers between two blocks to be
# normal. Look at block 0: the features themselves follow the curve rather well! Of course they do:
# we have standardised them, so they have mean 0 and variance 1 before the flow has done anything.
# After the last block they are a little wider than the curve: no training sample was this part, and
# of new parts the flow is surer than it should be. So what has the flow done?
#
# A histogram throws all numbers into one bag. It cannot see whether they *depend on each other*.
# The base density demands more than a bell: every number must be independent of every other one. In
# a feature map, a position and its right neighbour are alike. In white noise they are not. Let us
# measure this correlation after each block.


# %%
def neighbour_correlation(x):
    """Correlation of every number with the one at the next position to the right."""
    return np.corrcoef(x[..., :-1].flatten(), x[..., 1:].flatten())[0, 1]


with torch.no_grad():
    steps = [x_test[sound[:8]], *flow.trace(x_test[sound[:8]])]
correlation = [neighbour_correlation(step) for step in steps]
print("features, then after each block:", *(f"~{value:.2f}" for value in correlation))
# Fast setting, seeds 0 to 2: 0.52, then 0.44 to 0.45, 0.36 to 0.37, 0.31, and 0.27 to 0.28.
print("falls with every block:", bool((np.diff(correlation) < 0).all()))
print("latents less than two thirds of features:", correlation[-1] < 2 / 3 * correlation[0])

# %% [markdown]
# This is the work that the histogram hides: block by block, neighbours become less alike. It is not
# finished: 0 would be independence, and a good part is left. So never judge a
# flow by a histogram alone. (A flow with raw features, not standardised, would change its histogram
# a lot, and look much more impressive.)
#
# ## Take the score apart
#
# The panel *terms* shows the two terms of the score as maps, and their sum, for every view. Under
# the picture stands the formula of lesson 3 with the numbers of the chosen position in it. Click on
# a map to choose another position, or type row and column. The state below is that of the brightest
# position of the part with the highest score.


# %%
def peak(model, sample):
    """State that looks at the brightest position of a sample."""
    nll = latents.whole[model][sample].nll
    view, row, column = map(int, np.unravel_index(nll.argmax(), nll.shape))
    return {"sample": int(sample), "view": view, "position": (row, column)}


# %% alt="Maps of half squares, of minus log-determinants, of their sum: the first shows the defect"
LatentExplorer(latents, {**peak("wheel", brightest), "panel": "terms"})

# %% [markdown]
# The upper row is half the squared norm of the latent, the middle row minus the log-determinant,
# the lower row their sum, each with a colour scale of its own that stays the same for all samples.
# At the defect a few positions burn in the upper row. In the middle row you see the object itself:
# on edges and screws the flow has to stretch less than on the smooth background, whether or not
# something is wrong there. So which term finds defects? We look at the brightest position of every
# defective sample, and ask by how much each term lies above its median in that view.

# %%
rises = []
for sample in np.flatnonzero(latents.labels):
    at, answer = peak("wheel", sample), latents.whole["wheel"][sample]
    parts = (answer.half[at["view"]], -answer.log_det[at["view"]])
    rises.append([part[at["position"]] - np.median(part) for part in parts])
half, log_det = np.array(rises).T
print(f"mean rise of half the norm ~{half.mean():.2f}, of minus log-det ~{log_det.mean():.2f}")
# Fast setting, seeds 0 to 2: in 98 of 100 samples; the norm rises by 1.7, the other term by 0.1.
more = 100 * (half > log_det).mean()
print(f"the norm rises more in ~{more:.0f} of 100 samples, more than 85: {more > 85}")
print("and at least five times as much on average:", half.mean() > 5 * log_det.mean())

# %% [markdown]
# It is the norm. A defect is a latent far away from the origin: a value that the neighbours and the
# other channels did not predict. The log-determinant says how sure the flow usually is about this
# kind of place. It is the yardstick, not the alarm. Without it the score would be unfair: on the
# smooth ground, where everything can be predicted, a small deviation counts for more.
#
# ## What did the neighbours tell it?
#
# The panel *position* looks at one position of one view. On the left is its latent, channel by
# channel: 95 in 100 should lie in the grey band. On the right are the training patches whose
# features are most similar, and in the middle are the **messages**. Each bar mutes one message, and
# says by how many nats this position becomes less likely. A bar to the right: the message helped,
# the other camera had foretold what is seen here. A bar to the left: it misled.

# %% alt="One position: its latent far outside the band, the worth of each message, nearest patches"
LatentExplorer(latents, {**peak("wheel", brightest), "panel": "position"})

# %%
at = peak("wheel", brightest)
latent = latents.whole["wheel"][brightest].z[at["view"], :, *at["position"]]
outside = int((np.abs(latent) > 1.96).sum())
print(f"~{outside} of {len(latent)} channels leave the band; a sound position has 5 or 6")

# %% [markdown]
# A great many channels leave the band: that is the alarm. (Lines beyond 6 are cut, and the five
# largest bear their channel's number; bars are cut, too, and have their worth beside them.) Some
# messages help all the same, and some may mislead; why, the panel does not say. The patches show
# what a feature means: *here* is what the camera sees, and beside it are the places in sound
# training pictures that look most like it to the backbone. They show a similar piece of the part,
# and none of them has the defect. So the backbone knew where on the part it was; it just had never
# seen *this* there.
#
# Over the whole map the bars have a sum, the worth of a message for its receiver. The library's
# `who_helps` computes it for all messages of a sample; a `Question` says which sample is shown to
# which model, and what is changed. One check for both.

# %%
question = Question("wheel", 0)
told = latents.told(question, view=1)
matrix = who_helps(flow, x_test[[0]])[0]
sums = {sender: worth.sum() for sender, worth in told.items()}
for sender, worth in sums.items():
    print(f"C{sender + 1} tells C2 ~{worth:.0f} nats; who_helps says ~{matrix[1, sender]:.0f}")
print("the same worth:", all(abs(sums[j] - matrix[1, j].item()) < 0.1 for j in sums))
print("every message helps C2:", all(worth > 0 for worth in sums.values()))

# %% [markdown]
# ## Swap a view, and see who notices
#
# The button *swapped views* looks for the two sound parts whose pictures differ most in colour,
# and gives the one a view of the other. Each picture is sound; the set is not. Here we do the same
# by hand: the grey sample 0 gets its second view (C2) from the orange sample 3.

# %% alt="Every view before and after the swap of C2, by maximum, mean and agreement"
swapped = LatentExplorer(latents, {"sample": 0, "swapped": ((1, 3),), "panel": "messages"})
swapped

# %% [markdown]
# Three panes, one for each way to make one number of a map: the **maximum**, the **mean**, and
# **agreement**, the score with messages minus the score with all of them muted, in spreads above
# what is usual for training samples at this place. (Lesson 5 used the difference to the separated
# flow. One flow will do if it has met silence in training; ours has not, so take its agreement with
# care.) The blue bands hold 90 in 100 sound parts, so a dot may lie outside before anything is
# done; look at how far it moves. Dots go from *before* to *now*, and what lies beyond the axis is
# drawn at its end, with its number beside it. A maximum is made for defects; for a question about
# the whole set, look at agreement. Choose the panel *maps*, and *agreement* as its map: the purple
# frame shows the view from another part, red is what does not fit.
#
# Now predict before you look on: what will you see if you choose the model *separated* at the top?
# And in the wheel, is there a view with no arrow from C2, and what does it do?
#
# One swap is an anecdote. So we test twelve of them: the *mean* of every view's map, and by each
# rule whether the swapped samples stand out among the sound ones.


# %%
def answer_to_swap(model):
    """How much the mean score of each view changes when C2 comes from another sample: (12, V)."""
    changes = []
    for sample, donor in zip(sound[:12], np.roll(sound, -1)[:12], strict=True):
        whole = latents.whole[model][sample]
        swapped = latents.ask(Question(model, int(sample), swapped=((1, int(donor)),)))
        changes.append((swapped.nll - whole.nll).mean((1, 2)))
    return np.array(changes)


change = {model: answer_to_swap(model) for model in ("separated", "wheel")}
others = [0, 2, 3, 4]
pairs = list(zip(sound[:12], np.roll(sound, -1)[:12], strict=True))
asked = [Question("wheel", int(s), swapped=((1, int(d)),)) for s, d in pairs]
noticed = {}
for rule, (_, usual) in latents.ranked["wheel"].items():
    scores = np.array([latents.rules(question)[rule][1] for question in asked])
    noticed[rule] = (scores[:, None] > usual[sound]).mean()  # the AUROC: pairs in right order

print("mean score, change in C1 to C5, nats per channel:")
for model, values in change.items():
    print(f"{model:9}", *(f"~{rise:.3f}" for rise in values.mean(0)))
labels = [0] * len(sound) + [1] * len(pairs)
for rule, area in noticed.items():
    error = standard_error(area, labels)
    print(f"swapped samples against sound ones by {rule:9}: AUROC ~{area:.2f} ± ~{error:.2f}")

# %%
print("separated, no other view moves:", np.abs(change["separated"][:, others]).max() < 1e-5)
# Fast setting, seeds 0 to 2: C2 rises by 0.16 to 0.18, C1, C3 and C5 by 0.03 to 0.05, C4 by 0.001.
rise = change["wheel"].mean(0)
print("wheel, C2 rises most:", rise.argmax() == 1)
print("wheel, its neighbours C1, C3 and C5 rise:", bool((rise[[0, 2, 4]] > 0).all()))
print("wheel, C4 moves less than any of them:", bool(abs(rise[3]) < rise[[0, 2, 4]].min()))
print("agreement notices more swaps than the maximum:", noticed["agreement"] > noticed["maximum"])

# %% [markdown]
# In the separated flow nobody moves but C2 itself: it scores another sound picture, that is all. In
# the wheel C2 becomes *less likely than it was*, because C1, C3 and C5 describe another object to
# it, and these three are led astray by C2 in turn. C4 stands opposite, has no arrow from C2, and
# hardly minds. And agreement notices most: it asks each place for what only the others could know.
# (The preset `together` trains a flow with its messages muted, too, so that its agreement can be
# relied on, for parts that no single camera can tell: see [the page without a
# kernel](explorer.html).)
#
# ## Mute a message, take a camera away
#
# Click on the arrow **from C1 to C2**: the hub falls silent for one side camera. The arrow turns
# into a dotted line.

# %%
muted = latents.ask(Question("wheel", 0, muted=((0, 1),)))
loss = (muted.nll - whole.nll).mean((1, 2))
print("mean score, change in C1 to C5:", *(f"~{value:.4f}" for value in loss))
print("C2, which no longer hears C1, loses most:", loss.argmax() == 1)
print("more than five times as much as any other:", loss[1] > 5 * np.delete(loss, 1).max())

# %% alt="Every view before and after the mute: C2 moves, the views that hear it a little"
LatentExplorer(latents, {"sample": 0, "muted": ((0, 1),), "panel": "messages"})

# %% [markdown]
# A muted message hurts its receiver. The others notice only at second hand, since what C2 sends
# them in the next half-step is worse than it was. If you mute *all* edges, the wheel is a separated
# flow, but a bad one: it has learned to rely on its neighbours.
#
# Taking a camera away (the button *no camera C1*) is something else. The camera falls out of the
# product of densities: it has no score, it sends nothing, and the means of its neighbours run over
# those who are left. What remains is an exact likelihood of the other four views, that of a flow
# over four cameras with the same weights. (It is not the integral of the five-view density over the
# fifth view; nobody can compute that one.) And if you take all five away? There is no such thing as
# the likelihood of nothing; the explorer must say so.

# %%
tool = LatentExplorer(latents, {"absent": (0, 1, 2, 3, 4)})
print(tool.alt())
print("no old picture stays:", tool.parts.picture.layout.visibility == "hidden")
tool.restore({"absent": (0,)})
print("and the sentence goes away:", tool.parts.picture.layout.visibility == "visible")

# %% [markdown]
# ## The way back
#
# A flow runs in both directions. The panel *way back* turns latents into features again. Features
# are no pictures, and we have trained no decoder. But we have training pictures: at each position
# we put the **training patch whose features are nearest**. The mosaic does not show what the
# features are; it shows what they resemble.

# %%
error = latents.back(Question("wheel", 0)).error
print(f"the way there and back, largest error ~{error:.0e}, below 1e-4: {error < 1e-4}")

# %% alt="Five pictures of a defective part; below, mosaics of training patches, without the defect"
LatentExplorer(latents, {"sample": brightest, "panel": "way back"})

# %% [markdown]
# Above are the pictures, below is what came back: exactly the features that went in, drawn with
# patches of other parts. You can make out the part and its screws, in patchwork, and the defect is
# gone, since no training patch has one. Here and there a patch has a wrong colour: for the backbone
# the shape counted for more. Now use the controls:
#
# * **temperature** multiplies the latents. At 1 nothing happens. Below 1 everything moves towards
#   the middle of the distribution. If a defect is a latent far outside, what will become of it?
# * **draw no.** takes latents from N(0, 1) in place of the sample's own: number 1, 2, 3 and so on
#   are new objects that no camera has ever seen. They look emptier than photographs: latents of
#   real parts lie further out, by all that the flow could not explain. Do draws score lower, then?
#   The log-determinant has a say, too, and asks how sure the flow is of such features (exercise 1).
#   And a *lower* score is not a better part: sound parts have scores in a range, the **typical
#   set**; above and below it, something is unusual (exercise 2).
# * **towards** and **fraction** walk on a straight line from this sample's latents to another's.
#
# Without the tool, `latents.back(question, towards=..., fraction=..., temperature=..., seed=...)`
# computes the same. What it returns has the features `x`, their `score` (a maximum), the `mean` of
# their score map, and the `error` of the way back.

# %%
scores = {t: latents.back(Question("wheel", brightest), temperature=t).score for t in (1.0, 0.5)}
threshold = tool.start["threshold"]
print(
    f"the defective sample ~{scores[1.0]:.1f}, its latents halved ~{scores[0.5]:.1f} nats", end=""
)
print(f" per channel; the threshold is ~{threshold:.1f}")
print("it falls by more than half:", scores[0.5] < 0.5 * scores[1.0])

# %% alt="Half way between two sound samples: one above, one below, a mosaic of both between them"
LatentExplorer(latents, {"sample": 0, "panel": "way back", "towards": 3, "fraction": 0.5})

# %% [markdown]
# The last picture is the middle of the line between two sound samples: above the grey one, below
# the orange one, between them a mosaic that takes from both. Do not expect a smooth change from
# part to part. With so few epochs on 64 samples, this flow knows local texture well and
# the object as a whole only roughly.
#
# ## Watch it learn
#
# The same tool replays the training. Give it the six saved ages of the wheel in place of two
# models: the list **model** is now a clock, and the button beside it plays.

# %% alt="Scores of all samples by the youngest against the grown wheel, and both ROC curves"
ages = dict(zip(("young", "2nd", "3rd", "4th", "5th", "grown"), ages, strict=True))
replay = LatentExplorer(Latents(ages, test), {"panel": "set", "model": "young", "against": "grown"})
replay

# %% [markdown]
# The panel *set* compares two models on the same axes: the scores of all samples by the youngest
# wheel, the same against the grown one, and both ROC curves. The threshold is that of the last
# model, the grown wheel; all scores of the young one lie above it, so its dot on the ROC curve sits
# in the upper right corner: all is found, and every sound part is a false alarm. Most of the sound
# samples lie below the line on which both agree: they have become more likely with training.
# And the defective ones?

# %%
young, grown = (replay.latents.scores[name] for name in ("young", "grown"))
bad = replay.latents.labels
gain = young - grown
for kind, part in (("sound", gain[~bad]), ("defective", gain[bad])):
    print(f"{kind} samples have gained ~{np.median(part):.2f} nats per channel (median), ", end="")
    print(f"~{100 * (part > 0).mean():.0f} of 100 have gained at all")
# Fast, seeds 0 to 2, medians: 0.69 to 0.77 for sound samples, 0.00 to 0.13 for defective ones.
print("sound samples have become more likely:", np.median(gain[~bad]) > 0.4)
print("defective ones less so:", np.median(gain[bad]) < np.median(gain[~bad]) - 0.3)

# %% [markdown]
# Many of the defective samples gained nothing at all, although most of their positions are as sound
# as anybody's: their score is a maximum, and the position that decides it has become *less* likely.
# That is what training is for. A flow that knows little is surprised by everything equally; the
# better it knows what is sound, the more a defect stands out.
#
# ## Keep what you found
#
# You have found something strange and want to show it to a colleague. A screenshot cannot be moved
# any further. A state can: it is a dictionary of plain numbers, and the last line of the tool
# brings it back. The button *bookmark* keeps it as one more button; `explorer.bookmarks` is a plain
# dictionary as well.

# %%
explorer = LatentExplorer(latents)
explorer.restore({"sample": 7, "panel": "messages", "muted": ((0, 1), (0, 2))})
print(explorer.line())
kept, shown = explorer.state(), explorer.parts.picture.value
explorer.restore()
print("back at the beginning:", explorer)
explorer.restore(kept)
print("the same picture, byte by byte:", explorer.parts.picture.value == shown)
explorer.undo()
print("undone:", explorer)
explorer.redo()

# %% [markdown]
# A wrong state is refused, as a whole. Nothing is worse than a tool that takes half of what you
# said.

# %%
try:
    explorer.restore({"sample": 3, "muted": ((1, 3),)})
except ValueError as error:
    print(str(error).split(":")[0])
print("unchanged:", explorer.state() == kept)

# %% [markdown]
# In the wheel, C2 and C4 do not talk to each other, so this message cannot be muted.
#
# Your colleague has no Python? [explorer.html](explorer.html) is the explorer as one page: it opens
# from disk in any browser, asks no server, and has its state in its address, so that you can send a
# link to what you see. `python -m mfkit explore` makes it of any model of yours.
#
# ## What we have built
#
# * A rule for tools that answer at once: **compute first, then index**.
# * A form that can be tested and kept: a pure `figure()`, a `state()` of plain numbers, a `repr`.
#   Fixed limits, so that pictures can be compared; errors where the user looks; a way back.
# * **Gaussian or not**: a histogram throws everything into one bag; dependence needs a look of its
#   own. Between two blocks nothing has to be normal.
# * The **norm** finds the defect, the **log-determinant** is the yardstick.
# * Swap, mute, take away: the separated flow answers alone; in the wheel the neighbours answer, and
#   the view opposite does not. **Agreement** notices it better than the maximum.
# * **Back to features** with any change you like, drawn with training patches.
#
# The explorer takes your own runs as well: `Latents` accepts the path of any `model.pt`, features,
# and samples, with any number of cameras and any graph.
#
# ## Exercises
#
# Each cell ends with a check that says whether the answer is right.

# %% [markdown] tags=["exercise"]
# **1. Predict, then run.** You draw from the flow and turn the temperature down: 1, then 0.5, then
# 0. At 0 all latents are 0, the most likely latent there is. Which of the three objects gets the
# *lowest* mean score (is the most likely one)? Is it the one at 0? Write the temperature into
# `guess`, then put the three mean scores into `means`.
#
# <details><summary>Hint</summary><code>latents.back(question, temperature=0.5, seed=1).mean</code>.
# The score has two terms, and the temperature makes one of them small for sure.</details>

# %% tags=["exercise"]
question = Question("wheel", 0)
guess = ...  # 0.0, 0.5 or 1.0
means = {0.0: ..., 0.5: ..., 1.0: ...}
# --- solution ---
guess = 0.5
for t in means:
    means[t] = latents.back(question, temperature=t, seed=1).mean
    print(f"temperature {t}: mean score ~{means[t]:.2f} nats per channel")
# Temperature 0 has the smallest norm, but the score has a second term. Features that no object ever
# has lie where the flow has not learned to be sure: the log-determinant is lower there. The most
# likely latent does not become the most likely object.
# --- check ---
assert ... not in means.values(), "put what you measured in place of the dots"
again = {t: latents.back(question, temperature=t, seed=1).mean for t in (0.0, 0.5, 1.0)}
assert all(abs(means[t] - again[t]) < 1e-6 for t in again), "take seed 1 and the field 'mean'"
assert guess == min(again, key=again.get), "the guess is another one: compare the three numbers"

# %% [markdown] tags=["exercise"]
# **2. Half of the way.** Walk from sound sample 0 to the brightest defective sample in steps of a
# quarter. Predict how the *mean* score changes on the way: a straight line, a hill, or a valley?
# And the sample score, a maximum? Put the two lists into `means` and `maxima`.
#
# <details><summary>Hint</summary><code>latents.back(Question("wheel", 0), brightest, step)</code>
# has the fields <code>mean</code> and <code>score</code>. What is the length of the middle between
# two independent vectors of 100 numbers each?</details>

# %% tags=["exercise"]
steps = (0.0, 0.25, 0.5, 0.75, 1.0)
means, maxima = ..., ...
# --- solution ---
way = [latents.back(Question("wheel", 0), brightest, step) for step in steps]
means, maxima = [back.mean for back in way], [back.score for back in way]
for step, mean_score, maximum in zip(steps, means, maxima, strict=True):
    print(f"{step:4}: mean ~{mean_score:.2f}, maximum ~{maximum:.2f}")
# Two independent latents of equal length L are at right angles to each other, so their middle has
# the length 0.7 L: half of the squared norm is gone, and the mean score is a valley. The middle is
# too ordinary for a real object. The maximum belongs to one position, where only the defective
# sample is far outside: it grows with the square of the fraction.
# --- check ---
assert means is not ..., "put what you measured in place of the dots"
assert len(means) == len(maxima) == 5, "five numbers each"
assert max(means[1:4]) < min(means[0], means[-1]), "the mean score should be a valley"
assert maxima[-1] == max(maxima), "the maximum should end at the defect"

# %% [markdown] tags=["exercise"]
# **3. Who helps C1?** The hub hears all four sides. Find for sound sample 0 the message that is
# worth most to it: first by eye (panel *messages*: mute one at a time, and read off C1), then by
# `latents.told`. Put the worth of each sender, in nats, into `worth`. Does the answer stay the same
# for the other sound samples?
#
# <details><summary>Hint</summary><code>told[1]</code> is a map: what C2's message is worth at each
# position of C1. Add it up.</details>

# %% tags=["exercise"]
told = latents.told(Question("wheel", 0), view=0)
worth = {sender: ... for sender in told}
# --- solution ---
worth = {sender: float(told[sender].sum()) for sender in told}
for sender, nats in worth.items():
    print(f"C{sender + 1} tells C1 ~{nats:.0f} nats")
firsts = []
for sample in sound[:8]:
    maps = latents.told(Question("wheel", int(sample)), view=0)
    firsts.append(max(maps, key=lambda sender: maps[sender].sum()))
often = max(firsts, key=firsts.count)
print(f"C{often + 1} comes first for ~{firsts.count(often)} of {len(firsts)} sound samples")
# Not for all of them: what a message is worth also depends on what the others have told already.
# Muting one of four costs little as long as the rest says the same.
# --- check ---
assert ... not in worth.values(), "put what you computed in place of the dots"
truth = who_helps(flow, x_test[[0]])[0, 0]
assert all(abs(worth[j] - truth[j].item()) < 0.5 for j in worth), "who_helps disagrees"

# %% [markdown] tags=["exercise"]
# **4. No false alarm.** Put the threshold just above the hardest sound sample (the button *a false
# alarm* shows it), choose the panel *set*, and read off how many defective samples are still
# found. Keep the state as one line of code. Then compare with *separated*, which needs a threshold
# of its own: put the number found without a false alarm by each model into `found`.
#
# <details><summary>Hint</summary><code>latents.scores[model]</code> are the scores of all samples,
# <code>latents.labels</code> says which are defective, and <code>sound</code> are the places of the
# sound ones.</details>

# %% tags=["exercise"]
found = {"wheel": ..., "separated": ...}
# --- solution ---
for model, scores in latents.scores.items():
    hardest = float(scores[sound].max())
    found[model] = int((scores[latents.labels] > hardest).sum())
    print(f"{model:9} finds ~{found[model]} of {latents.labels.sum()} without a false alarm")
hardest = float(latents.scores["wheel"][sound].max())
state = {"panel": "set", "threshold": round(hardest + 0.01, 2), "against": "separated"}
print("in words:", "with 0 false alarms" in LatentExplorer(latents, state).alt())
# One threshold belongs to one model: the scores of two flows differ by an offset, and each needs
# its own, just above its own hardest sound sample. That is where its ROC curve starts on the left.
# When this was written the wheel found 29 of the 48 there and the separated flow 28: no difference.
# --- check ---
assert ... not in found.values(), "put what you counted in place of the dots"
for model, scores in latents.scores.items():
    count = int((scores[latents.labels] > scores[sound].max()).sum())
    assert found[model] == count, f"count again for {model}: its own hardest sound sample rules"

# %% [markdown]
# ## Further reading
#
# * Smilkov and others, *Direct-Manipulation Visualization of Deep Networks*, 2017,
#   [arXiv 1708.03788](https://arxiv.org/abs/1708.03788): the playground whose state is one address.
# * Kahng and others, *GAN Lab*, 2018, [arXiv 1809.01587](https://arxiv.org/abs/1809.01587): a
#   generative model that you can watch while it learns.
# * Wang and others, *CNN Explainer*, 2020, [arXiv 2004.15004](https://arxiv.org/abs/2004.15004):
#   from the overview to the single number in the formula.
# * Kirichenko and others, *Why Normalizing Flows Fail to Detect Out-of-Distribution Data*, 2020,
#   [arXiv 2006.08545](https://arxiv.org/abs/2006.08545): what flows look at, and what they miss.
# * Nalisnick and others, *Detecting Out-of-Distribution Inputs to Deep Generative Models Using
#   Typicality*, 2019, [arXiv 1906.02994](https://arxiv.org/abs/1906.02994): likely and typical are
#   not the same (exercises 1 and 2).
