# %% [markdown] tags=["card"]
# # 3 Score every position
#
# **You build** a flow for the feature maps of one camera, and from its likelihood a map that shows
# where a part looks unusual.
#
# **You will be able to** write an affine coupling and invert it, keep its log-determinant as a map
# instead of one number, fit a Gaussian as the simplest flow, turn a map into a score for the image,
# say what noise does during training, and keep the background out of a maximum.
#
# **You need** [lesson 2](02_density.ipynb): what a log-determinant is and why a negative
# log-likelihood may be below zero.
#
# **Time and memory** on a laptop with two cores: 60 minutes to read and try, 105 with the
# exercises; two minutes to run (one with `MFKIT_FAST=1`), 1 GB.
#
# **From mfkit** `MultiFlow`, `CrossViewCoupling`, `ViewPermutation`, `nll_map`, `image_scores`.

# %% tags=["setup"]
import math
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.nn import functional as F

warnings.filterwarnings("ignore", category=SyntaxWarning)  # FrEIA's first import on Python 3.12+
from FrEIA.modules import GLOWCouplingBlock

from mfkit import HEAT, PALETTE, auroc, course, load_backbone, read_category, score, standard_error
from mfkit import CrossViewCoupling, MultiFlow, ViewGraph, ViewPermutation, Whiten

FAST = os.environ.get("MFKIT_FAST") == "1"
torch.set_num_threads(1)  # a busy second core would slow everything down
DATA = course.find_data()  # says what to do when the folder is not there

# %% [markdown]
# Lesson 2 built a flow for points in the plane. A picture has more to say than two numbers, and we
# want to know more than "this picture is unusual": we want to know **where**. So today's flow works
# on feature maps and gives a score to every position of the map. We use only one camera, the one
# that looks from above. Messages between cameras follow in lesson 4.

# %% alt="The method with feature maps, flow, latents, log-determinants, maps and scores in colour"
course.method("score")

# %% [markdown]
# In colour you see today's path: feature maps go in, blocks of permutation and coupling turn them
# into latents and log-determinants, both together give score maps, and the maps give scores of
# images.
#
# ## A coupling that you can read
#
# Lesson 2 wrote a coupling for points. Here it is again in three lines, as a reminder, before it
# grows to maps. A layer of a flow must be easy to invert, and its log-determinant must be easy to
# compute. The *affine coupling* reaches both with a trick: it leaves one half of the numbers alone
# and uses it to scale and shift the other half. With two numbers $x_1$ and $x_2$:
#
# $$z_1 = e^{s} x_1 + t, \qquad z_2 = x_2, \qquad \text{where } s = s(x_2),\ t = t(x_2)$$
#
# $s$ is the *log-scale* and $t$ the *shift*. Both may be any function of $x_2$. We choose two
# simple ones.


# %%
def scale_and_shift(x2):
    """Any two functions will do."""
    return 0.5 * x2, 3 * x2**2


x1, x2 = 1.0, 2.0
s, t = scale_and_shift(x2)
z1, z2 = math.exp(s) * x1 + t, x2
print(f"s = {s}, t = {t}, z = ({z1:.3f}, {z2})")

# %% [markdown]
# By hand: $s = 0.5 \cdot 2 = 1$ and $t = 3 \cdot 4 = 12$, so $z_1 = e \cdot 1 + 12 = 14.718$. Now
# back. $z_2$ *is* $x_2$, so we can compute the same $s$ and $t$ again and undo the step. The
# function $t$ has no inverse, since $2$ and $-2$ have the same square, but nobody ever asks for it.

# %%
s, t = scale_and_shift(z2)
print(f"back: ({math.exp(-s) * (z1 - t):.3f}, {z2})")

# %% [markdown]
# And the log-determinant? Changing $x_1$ a little changes $z_1$ by $e^s$ times as much and leaves
# $z_2$ alone. Changing $x_2$ changes both. The matrix of these derivatives, the *Jacobian*, has a
# zero below its diagonal. Then the determinant is the product of the diagonal, $e^s \cdot 1$, and
# its logarithm is just $s$.


# %%
def coupling(x):
    s, t = scale_and_shift(x[1])
    return torch.stack([torch.exp(s) * x[0] + t, x[1]])


matrix = jacobian(coupling, torch.tensor([1.0, 2.0]))
print(matrix)
print(f"log-determinant: {torch.linalg.slogdet(matrix).logabsdet:.4f}, and s = {s}")

# %% [markdown]
# The 13.36 in the upper right corner says how $z_1$ depends on $x_2$. It does not matter for the
# determinant.
#
# ## Soft clamp
#
# The scale is $e^s$. If a network predicts $s = 20$ for a strange input, the scale is 485 million,
# and training breaks down. So $s$ passes a *soft clamp* first:
#
# $$\mathrm{ls}(s) = 1.9 \cdot 0.636 \cdot \arctan(s / 1.9)$$
#
# $\arctan$ lies between $-\pi/2$ and $\pi/2$, and 0.636 is about $2/\pi$. So $\mathrm{ls}(s)$
# always stays between $-1.9$ and $1.9$. It is *soft* because it bends slowly and always has a
# slope; a hard cut would have none, and could not learn its way back.


# %% tags=["setup"]
def soft_clamp(s: Tensor, clamp: float = 1.9) -> Tensor:
    """Keep a log-scale between -clamp and clamp."""
    return clamp * 0.636 * torch.atan(s / clamp)


# %% alt="The soft clamp: a line near zero that bends and stays between -1.9 and 1.9"
s = torch.linspace(-12, 12, 200)
figure, ax = plt.subplots(figsize=(6, 3))
ax.plot(s, s, color=PALETTE["quiet"], ls=":", label="no clamp")
ax.plot(s, soft_clamp(s), color=PALETTE["sound"], label="ls(s), used here")
ax.plot(s, 1.9 * 0.636 * torch.atan(s), color=PALETTE["defective"], ls="--", label="as in FrEIA")
ax.set(ylim=(-3, 3), xlabel="s, the network's output", ylabel="log-scale, nats")
ax.legend()
plt.show()
print(f"scales lie between {math.exp(-1.9):.2f} and {math.exp(1.9):.2f}")

# %% [markdown]
# Near zero our curve is a line with the slope 0.636, a little flatter than the dotted one. Far out
# it stays below 1.9. The dashed curve is the clamp of FrEIA's own blocks, which do not divide by
# 1.9 inside the arctan: it has the same limits but 1.9 times the slope in the middle. We follow the
# paper's code. One coupling can now stretch a number by a factor of at most 6.69.
#
# ## From two numbers to feature maps
#
# A feature map is a tensor (B, C, H, W): B samples, C channels, H rows and W columns. We split the
# *channels*: the first half is scaled and shifted by what a network makes of the second half. Then
# the roles change, so that after one coupling every channel has been moved. The network consists of
# two convolutions and returns $s$ and $t$ for each channel and position. A network is named after
# the half that it *sees*, as in FrEIA and in the paper's code: `net2` sees the second half and
# moves the first one. The first half-step needs `net2`, and so it comes before `net1`.


# %% tags=["setup"]
def small_network(inputs, outputs, kernel_size=3):
    """(B, inputs, H, W) -> (B, outputs, H, W)."""
    options = {"padding": "same", "padding_mode": "replicate"}
    return nn.Sequential(
        nn.Conv2d(inputs, 8, kernel_size, **options),
        nn.ReLU(),
        nn.Conv2d(8, outputs, kernel_size, **options),
    )


class CouplingV1(nn.Module):
    """Two-sided affine coupling of one view; its log-determinant is a map."""

    def __init__(self, channels, kernel_size=3):
        super().__init__()
        half = channels // 2
        self.net1 = small_network(half, 2 * (channels - half), kernel_size)
        self.net2 = small_network(channels - half, 2 * half, kernel_size)
        self.split = [half, channels - half]

    def forward(self, x):
        x1, x2 = x.split(self.split, dim=1)
        s, t = self.net2(x2).chunk(2, dim=1)
        z1, log_scale2 = soft_clamp(s).exp() * x1 + t, soft_clamp(s)
        s, t = self.net1(z1).chunk(2, dim=1)
        z2, log_scale1 = soft_clamp(s).exp() * x2 + t, soft_clamp(s)
        return torch.cat([z1, z2], dim=1), log_scale2.sum(dim=1) + log_scale1.sum(dim=1)

    def inverse(self, z):
        z1, z2 = z.split(self.split, dim=1)
        s, t = self.net1(z1).chunk(2, dim=1)
        x2 = (z2 - t) / soft_clamp(s).exp()
        s, t = self.net2(x2).chunk(2, dim=1)
        return torch.cat([(z1 - t) / soft_clamp(s).exp(), x2], dim=1)


# %%
torch.manual_seed(0)
ours = CouplingV1(6).double()
x = torch.randn(3, 6, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
z, log_det = ours(x)
print("z:", tuple(z.shape), " log-determinant:", tuple(log_det.shape))
home = (ours.inverse(z) - x).abs().max().item()
print(f"inverse recovers the input: {home < 1e-9}, to ~{home:.0e}")

# %% [markdown]
# ## Stop one step early
#
# Look at the last line of `forward`. The log-determinant of a whole sample is the sum of all
# log-scales, over channels, rows and columns. We sum over the channels *only*. What remains is a
# map of shape (B, H, W): what every position adds to the log-determinant.
#
# FrEIA, the library from lesson 2, goes on to the end. Its coupling, with the same networks inside,
# returns one number for each sample.

# %%
freia = GLOWCouplingBlock(
    [(6, 4, 5)],
    subnet_constructor=small_network,
    clamp=1.9,
    clamp_activation=lambda s: 0.636 * torch.atan(s / 1.9),
).double()
freia.subnet1.load_state_dict(ours.net1.state_dict())
freia.subnet2.load_state_dict(ours.net2.state_dict())
(z_freia,), log_det_freia = freia((x,))
print(f"latents differ by less than 1e-9: {bool((z_freia - z).abs().max() < 1e-9)}")
print("FrEIA's log-determinant:", [round(value, 6) for value in log_det_freia.tolist()])
print("the sum of our map:     ", [round(value, 6) for value in log_det.sum(dim=(1, 2)).tolist()])

# %% [markdown]
# One number tells *that* a sample is unusual. The map tells *where*, and costs nothing: the sum is
# just taken later. Nothing was approximated, since a sum may be taken in any order.
#
# Is an entry of the map really "the log-determinant of this position"? With kernels of 1 by 1 each
# position is a small flow of its own, with its own C by C Jacobian. There we can ask autograd for
# every single position.

# %%
torch.manual_seed(0)
pointwise = CouplingV1(6, kernel_size=1).double()
full = jacobian(lambda x: pointwise(x)[0], x[:1])[0, :, :, :, 0]  # (C, H, W, C, H, W)
entries = torch.stack(
    [torch.linalg.slogdet(full[:, i, j, :, i, j]).logabsdet for i in range(4) for j in range(5)]
)
ours_1 = pointwise(x[:1])[1].flatten()
print("our map, first row:    ", [round(value, 4) for value in ours_1[:5].tolist()])
print("position by position:  ", [round(value, 4) for value in entries[:5].tolist()])
print("equal at all positions:", int((ours_1 - entries).abs().lt(1e-9).sum()), "of", len(entries))

# %% [markdown]
# With larger kernels a position also looks at its neighbours. Then only the sum of the map is a
# log-determinant, that of the whole sample, and an entry is the share that we credit to the
# position whose channels were scaled.

# %%
full = jacobian(lambda x: ours(x)[0], x[:1]).reshape(120, 120)
exact = torch.linalg.slogdet(full).logabsdet
print(f"3 by 3 kernels: sum of the map {log_det[0].sum():.6f}, by autograd {exact:.6f}")

# %% [markdown]
# A warning for those who mix the two kinds. A flow adds up the log-determinants of its layers. If
# one layer returns (B,) and another one (B, H, W), PyTorch may add them *without any error*: it
# lines up the last axes.

# %%
one_number_each = torch.tensor([10.0, 20.0])  # B = 2 samples
maps = torch.zeros(2, 3, 2)  # B = 2, H = 3, W = 2
print((one_number_each + maps)[0])

# %% [markdown]
# The first sample should have got 10 and nothing else. It got 10 in its left column and 20, which
# belongs to the other sample, in its right one, because W happens to be equal to B. `MultiFlow`
# therefore refuses layers that do not return maps.
#
# ## Permutation
#
# The split is always the same: first half, second half. To make new pairs meet, every block begins
# with a *permutation*: it puts the channels into another order, drawn once and then fixed. To
# invert it, one sorts the order. It stretches nothing, so its log-determinant is zero.

# %%
x = torch.tensor([10, 20, 30, 40])
order = torch.tensor([2, 0, 3, 1])
z = x[order]
print(
    "there:",
    z.tolist(),
    " the way back:",
    order.argsort().tolist(),
    "->",
    z[order.argsort()].tolist(),
)

# %% [markdown]
# The library does the same for all positions. Inside, its tensors are (B, C, V, H, W), with V = 1
# view today. The seed belongs to the layer, so the same flow has the same order every time.

# %%
permute = ViewPermutation([(4, 1, 1, 1)], seed=3)
(z,), log_det = permute((x.reshape(1, 4, 1, 1, 1),))
(back,), _ = permute((z,), rev=True)
print("order:", permute.permutation.tolist(), " z:", z.flatten().tolist())
print("back:", back.flatten().tolist(), " log-determinant:", log_det.flatten().tolist())

# %% [markdown]
# ## The library's coupling
#
# `CrossViewCoupling` is the coupling that we wrote, for several views. With one view and no
# messages, both must agree. The library has one thing more: its networks end with a factor
# `gamma`, which starts at 0. Lesson 4 explains it; here we set it to 1.

# %%
torch.manual_seed(0)
ours = CouplingV1(6)
library = CrossViewCoupling([(6, 1, 4, 5)], graph=ViewGraph.empty(1), hidden=8)
for net, reference in ((library.net1, ours.net1), (library.net2, ours.net2)):
    net.encode[0].load_state_dict(reference[0].state_dict())
    net.decode[0].load_state_dict(reference[2].state_dict())
    nn.init.ones_(net.gamma)
x = torch.randn(3, 6, 4, 5, generator=torch.Generator().manual_seed(1))
(z,), log_det = library((x.unsqueeze(2),))
for what, theirs, own in (("latents", z[:, :, 0], 0), ("log-determinants", log_det[:, 0], 1)):
    off = (theirs - ours(x)[own]).abs().max().item()
    print(f"the same {what}: {off < 1e-5}, to ~{off:.0e}")

# %% [markdown]
# ## Feature maps of one camera
#
# Now the pictures. We take camera C1, which looks from above, and send its pictures through the
# frozen backbone of lesson 1.

# %% tags=["setup"]
category = read_category(DATA, "screw_block")


def top_pictures(samples):
    """Pictures of camera C1, (B, 256, 256, 3)."""
    return torch.from_numpy(np.stack([sample.image(0, 256) for sample in samples]))


def features(pictures):
    """Feature maps, (B, V, C, H, W) with one view."""
    backbone = load_backbone("efficientnet_lite0")
    return torch.cat([backbone(group) for group in pictures.split(16)]).unsqueeze(1)


train_pictures, test_pictures = top_pictures(category.train), top_pictures(category.test)
x_train, x_test = features(train_pictures), features(test_pictures)
defective = np.array([sample.labels[0] for sample in category.test])

# %%
print("training:", tuple(x_train.shape), " test:", tuple(x_test.shape))
spread = x_train.std(dim=(0, 1, 3, 4))
print(f"standard deviations of the channels: {spread.min():.1f} to {spread.max():.1f}")

# %% [markdown]
# A view counts as *defective* if the defect shows in it, so a defective sample may have a sound top
# view. The channels have standard deviations of four to eight. The latents should have 1, so the
# flow would spend its first steps on shrinking everything. We help it: subtract the mean of every
# channel and divide by its standard deviation, both measured on the training set.
#
# This is an invertible step as well. It adds the same constant to the score of every position, so
# it changes no comparison, and we leave the constant out. Remember it, though: **scores depend on
# the unit in which features are measured**. We will need this at the end.

# %% tags=["setup"]
mean = x_train.mean(dim=(0, 1, 3, 4)).reshape(-1, 1, 1)
deviation = x_train.std(dim=(0, 1, 3, 4)).reshape(-1, 1, 1)
x_train, x_test = (x_train - mean) / deviation, (x_test - mean) / deviation

# %% [markdown]
# ## The score of a position
#
# The flow turns features $x$ into latents $z$ of the same shape. If it has learned well, the
# latents of sound parts look like standard normal noise. The negative log-likelihood of the whole
# map is a sum over positions. The share that we credit to one position, per channel, is
#
# $$A_{ij} = \frac{1}{C} \Big( \frac12 \sum_c z_{c,ij}^2 - \mathrm{logdet}_{ij} \Big)$$
#
# $z_{c,ij}$ is the latent of channel $c$ in row $i$ and column $j$, $\mathrm{logdet}_{ij}$ the
# entry of the map, summed over all blocks, and $C$ the number of channels. The constant $\frac12
# \log 2\pi$ is left out. The unit is *nats per channel*. A large score means an unusual position.
# This is the library's function; the argument `foreground` comes last in this lesson.


# %% tags=["setup"]
def nll_map(z: Tensor, log_det: Tensor, foreground: Tensor | None = None) -> Tensor:
    nll = (0.5 * z.square().sum(2) - log_det) / z.shape[2]
    return nll if foreground is None else nll * foreground.to(nll.dtype)


# %%
z = torch.tensor([3.0, 1.0]).reshape(1, 1, 2, 1, 1)  # one position, two channels
log_det = torch.tensor(4.0).reshape(1, 1, 1, 1)
print("score:", nll_map(z, log_det).item(), "nats per channel")
assert torch.equal(nll_map(z, log_det), score.nll_map(z, log_det))

# %% [markdown]
# By hand: $\frac12 (9 + 1) = 5$, minus 4 is 1, divided by two channels is 0.5. With a
# log-determinant of 6 the score would be $-0.5$. A negative score is nothing strange: the constant
# is left out, 0.92 nats for each channel, and a density may be larger than 1. Only the order of
# scores matters.
#
# ## One position, one ellipse
#
# Before we train anything: which flow is the simplest one that has such a score? Lesson 1 used it
# already, as `Whiten`, and called it a Gaussian. Now we can open it. Our 64 training parts give 64
# points in the space of the 112 channels of a position. Around such a cloud lies an *ellipse* (in
# 112 dimensions): the mean is its middle, the covariance $\Sigma$ says how long it is in which
# direction. Write $\Sigma = L L^\top$ with a triangular $L$, the *Cholesky factor*. Then
#
# $$z = L^{-1} (x - \mathrm{mean}), \qquad \mathrm{logdet} = -\sum_c \log L_{cc}$$
#
# makes a ball of the ellipse. This is called *whitening*. It can be inverted, its Jacobian $L^{-1}$
# is triangular and the same for every part, and $z$ has mean 0 and covariance 1. So it *is* a flow,
# of one layer, and its density is a Gaussian.
#
# 64 points do not determine the 6,328 numbers of a covariance: there are directions in which they
# do not differ at all, and a new point would be infinitely unlikely. So each position believes its
# own covariance to 90 %, takes 10 % from the mean over all positions, and adds a little to the
# diagonal. (`Whiten` chooses such shares by the likelihood of training parts that it holds out.)


# %% tags=["setup"]
def ellipses(x, share=0.1, ridge=0.03):
    """Mean (P, 1, C) and L (P, C, C) of each of P positions, from features (N, 1, C, H, W)."""
    y = x[:, 0].flatten(2).permute(2, 0, 1)  # (P, N, C): a cloud of N points for each position
    middle = y.mean(dim=1, keepdim=True)
    own = (y - middle).mT @ (y - middle) / (len(x) - 1)
    covariance = (1 - share) * own + share * own.mean(dim=0) + ridge * torch.eye(x.shape[2])
    return middle, torch.linalg.cholesky(covariance)


def whiten(x, middle, factor):
    """Latents and log-determinants of the simplest flow, shaped as those of any other."""
    y = (x[:, 0].flatten(2).permute(2, 0, 1) - middle).mT  # (P, C, N)
    z = torch.linalg.solve_triangular(factor, y, upper=False).permute(2, 1, 0)
    log_det = -factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    return z.unflatten(2, (16, 16)).unsqueeze(1), log_det.reshape(1, 1, 16, 16)


# %% alt="A tilted cloud of points in its ellipse, and the same points as a round cloud in a circle"
middle, factor = ellipses(x_train)
related = torch.corrcoef(x_train[:, 0, :, 8, 8].T).abs().fill_diagonal_(0)
pair = divmod(int(related.argmax()), 112)  # the two channels that are most alike at one position
cloud = x_train[:, 0, pair, 8, 8]
centre, L = ellipses(x_train[:, :, pair], share=0, ridge=0)
round_cloud = torch.linalg.solve_triangular(
    L[8 * 16 + 8], (cloud - centre[8 * 16 + 8]).mT, upper=False
)
angle = torch.linspace(0, 2 * math.pi, 100)
circle = 2 * torch.stack([angle.cos(), angle.sin()])
ellipse = L[8 * 16 + 8] @ circle + centre[8 * 16 + 8].mT
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for ax, points, edge in ((axes[0], cloud.T, ellipse), (axes[1], round_cloud, circle)):
    ax.scatter(*points, s=12, color=PALETTE["sound"])
    ax.plot(*edge, color=PALETTE["ink"], lw=1)
    ax.set_aspect("equal")
axes[0].set(title="64 parts at one position", xlabel=f"channel {pair[0]}")
axes[0].set_ylabel(f"channel {pair[1]}")
axes[1].set(title="whitened", xlabel="$z_1$", ylabel="$z_2$")
plt.show()

# %% [markdown]
# Left, two of the channels at one position, and the ellipse at two standard deviations. Right, the
# same points after $L^{-1}$: the ellipse is a circle now. No gradient was needed for this, only
# means and products. Its scores, on parts that it has not seen:

# %%
z_white, white_log_det = whiten(x_test, middle, factor)
nll_white = nll_map(z_white, white_log_det)
new = nll_white[torch.from_numpy(~defective)].mean()
area = auroc(defective, nll_white.flatten(1).amax(1))
print(f"mean score of sound views: ~{new:.3f} nats per channel")
print(f"AUROC of the maximum: ~{area:.2f} ± ~{standard_error(area, defective):.2f}")
library = Whiten([(112, 1, 16, 16)])
print("shares that the library chooses:", library.fit([x_train]))

# %% [markdown]
# Remember these two numbers: **this is what a flow has to beat**, and it took a second. In the
# literature the same idea, without the word flow, is called PaDiM.
#
# So *why a flow at all?* Because an ellipse cannot do two things. It cannot bend: if what is usual
# lies on a curve, or in two clumps, an ellipse around it also holds what is not usual. And it has
# no place where another camera could have a say. A coupling can do both, and it can stand *behind*
# the whitening and begin where that ends. First we train couplings alone, to see what they do.
#
# ## Train it
#
# The loss is the mean of this map over sound parts. Training is one short loop. Noise maps go with
# every batch; the section *Why noise?* explains them.


# %% tags=["setup"]
def train_flow(noise, epochs, seed=0):
    """A flow for the top view, trained on sound parts, and its loss after each epoch."""
    torch.manual_seed(seed)
    graph = ViewGraph.empty(1)  # one view, nobody to talk to
    flow = MultiFlow(112, 16, 16, graph=graph, blocks=4, hidden=16, noise=noise, seed=seed)
    optimizer = torch.optim.AdamW(flow.parameters(), lr=2e-3, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(seed)
    history = []
    for _ in range(epochs):
        losses = []
        for batch in torch.randperm(len(x_train), generator=generator).split(8):
            n = flow.draw_noise(len(batch), generator)
            loss = nll_map(*flow(x_train[batch], n)).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        history.append(sum(losses) / len(losses))
    return flow.eval(), history


# %%
flow, history = train_flow("simplenet", epochs=20 if FAST else 60)
print(f"{sum(p.numel() for p in flow.parameters())} parameters")
print(f"loss in the first epoch: {history[0]:.1f} nats per channel")
# Seeds 0 to 2 ended at -0.52 to -0.53 after 20 epochs.
print(f"loss at the end: ~{history[-1]:.2f} nats per channel, below -0.4: {history[-1] < -0.4}")

# %% [markdown]
# The loss starts near 0.5, the value of standardised features that are not changed at all: half of
# their mean square, which is 1. It falls below zero. Now the score maps of the test views.

# %%
with torch.no_grad():
    z, log_det = flow(x_test)
    nll = nll_map(z, log_det)
    recovered = flow.inverse(z)
print("score maps:", tuple(nll.shape))
home = (recovered - x_test).abs().max().item()
print(f"inverse recovers the features: {home < 1e-3}, to ~{home:.0e}")


# %% alt="Seven pictures and their score maps: two sound ones, three with a bright spot, two without"
def show(indices, maps, title):
    """Pictures and their score maps, all on one scale; the defect is outlined."""
    figure, axes = plt.subplots(
        2, len(indices), figsize=(1.6 * len(indices) + 1, 3.8), layout="constrained"
    )
    for (above, below), index in zip(axes.T, indices, strict=True):
        sample = category.test[index]
        above.imshow(test_pictures[index])
        shown = below.imshow(maps[index, 0], cmap=HEAT, vmin=-0.8, vmax=1.5)
        if sample.labels[0]:
            above.contour(sample.mask(0, 256), [0.5], colors=PALETTE["truth"], linewidths=1)
        kind = sample.codes[0] if sample.labels[0] else "sound"
        above.set(title=kind, xticks=[], yticks=[])
        below.set(xlabel=f"max {maps[index, 0].max():.2f}", xticks=[], yticks=[])
    figure.colorbar(shown, ax=axes, label="score, nats per channel")
    figure.suptitle(title)
    plt.show()


peaks = nll.flatten(1).amax(dim=1)
bad = torch.from_numpy(defective).nonzero().flatten()
ranked = bad[peaks[bad].argsort(descending=True)]
show([0, 1, *ranked[:3].tolist(), *ranked[-2:].tolist()], nll, "two sound, three found, two missed")

# %% [markdown]
# Above are pictures, below their score maps on one common scale. The first two are sound. Then come
# the three defective views with the highest peak, then the two with the lowest. In the three found
# ones a bright spot lies where the outlined defect is. In the last two nothing sticks out: these
# defects are small, faint or smooth, and a map of 16 by 16 positions sees them badly. The row of
# screws scores higher than plain surfaces, also in sound parts: each screw is turned to another
# angle.
#
# Lesson 1 ended with a debt: its distance hardly saw the missing screw of sample `QS 0001`. Here it
# is again, seen by C1, and where its peak stands among the peaks of all sound views.

# %% alt="A sound view, and one without its screw, whose map is brightest at the hole"
names = [(sample.code, sample.number) for sample in category.test]
screw = names.index(("QS", "0001"))
show([0, screw], nll, "a sound view, and one without its screw")
pixels = category.test[screw].mask(0, 256).reshape(16, 16, 16, 16).sum(axis=(1, 3))
(i, j), (k, m) = divmod(int(nll[screw].argmax()), 16), divmod(int(pixels.argmax()), 16)
print("the brightest position is", max(abs(i - k), abs(j - m)), "away from the middle of the hole")
below = int((peaks[torch.from_numpy(~defective)] < peaks[screw]).sum())
print(f"its peak is higher than those of {below} of {int((~defective).sum())} sound views")

# %% [markdown]
# ## Two terms, and what each of them says
#
# Lesson 2 warned that the squares alone or the log-determinants alone would mislead. Do they, here?
# The score is a difference of two maps, so we can draw both, and ask each of them alone.

# %% alt="Three maps of one defective view: half squares, minus log-determinant, and their sum"
terms = {
    "half squares": 0.5 * z.square().sum(2) / 112,
    "minus log-determinant": -log_det / 112,
    "the sum: the score": nll,
}
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained")
for ax, (name, maps) in zip(axes, terms.items(), strict=True):
    values = maps[screw, 0]
    shown = ax.imshow(values, cmap=HEAT)  # three scales: the terms differ by an offset
    ax.set(title=name, xticks=[], yticks=[])
    figure.colorbar(shown, ax=ax, label="nats per channel")
plt.show()
for name, maps in terms.items():
    area = auroc(defective, maps.flatten(1).amax(1))
    error = standard_error(area, defective)
    print(f"{name:22} AUROC of the maximum ~{area:.2f} ± ~{error:.2f}")

# %%
alone = {name: auroc(defective, maps.flatten(1).amax(1)) for name, maps in terms.items()}
print("squares find defects:", alone["half squares"] > 0.7)
print("log-determinants alone are worse than a guess:", alone["minus log-determinant"] < 0.5)

# %% [markdown]
# The squares find the defect: unusual features land far from the centre. The log-determinant alone
# is worse than a guess. Its map is bright where sound parts vary, at screws and letters, since
# there the flow is less sure and stretches less. Where something is unusual it stretches *more*, as
# it did around the arcs of lesson 2: at the hole the map is darker than at the two screws beside
# it. So this term calls a defect a little more likely.
#
# Why keep it, if the squares alone rank our views as well as the sum does? Because squares alone
# are no likelihood. A flow that is trained on them would shrink everything to zero and know
# nothing. And the squares of two positions, or of two flows, have no common yardstick, if one of
# them is surer than the other. The log-determinant is that yardstick.
#
# ## From a map to a score for the image
#
# Is the image defective? We need one number from 256. Two rules come to mind: the mean of the map,
# or its maximum. A map small enough to read, with one bad position out of 256:

# %%
sound_map = torch.full((16, 16), -0.4)
bad_map = sound_map.clone()
bad_map[5, 9] = 2.0
for rule in ("mean", "max"):
    a, b = (getattr(m, rule)().item() for m in (sound_map, bad_map))
    print(f"{rule:4}: sound {a:6.3f}, defective {b:6.3f}")

# %% [markdown]
# The mean moves by 0.009, because 255 good positions outvote the bad one. Such a step drowns in the
# differences between sound parts. The maximum moves by 2.4. So the maximum fits small defects; the
# mean fits defects that change the whole image a little. `image_scores`, the library's function,
# offers both. Its `foreground` says which positions take part; we come back to it.


# %% tags=["setup"]
def image_scores(nll: Tensor, foreground: Tensor | None = None, rule: str = "max") -> Tensor:
    shown = torch.ones_like(nll, dtype=torch.bool) if foreground is None else foreground.bool()
    if foreground is not None and not shown.flatten(2).any(2).all():
        raise ValueError("'foreground' should show the object in every image, got an empty one")
    if rule == "max":
        return nll.masked_fill(~shown, -torch.inf).flatten(2).amax(2)
    if rule == "mean":
        return nll.masked_fill(~shown, 0).flatten(2).sum(2) / shown.flatten(2).sum(2)
    raise ValueError(f"'rule' should be 'max' or 'mean', got {rule!r}")


# %% [markdown]
# On our test views we compare the two with the AUROC: the probability that a defective view scores
# higher than a sound one.

# %%
rules = {rule: image_scores(nll, rule=rule)[:, 0] for rule in ("max", "mean")}
reached = {rule: auroc(defective, scores) for rule, scores in rules.items()}
# Seeds 0 to 2, 20 to 40 epochs, three draws of the test parts: 0.80 to 0.90 and 0.58 to 0.70.
print(f"maximum ~{reached['max']:.2f}, between 0.70 and 0.96: {0.70 < reached['max'] < 0.96}")
print(f"mean    ~{reached['mean']:.2f}, between 0.50 and 0.78: {0.50 < reached['mean'] < 0.78}")

# %% alt="Histograms of sound and defective views: apart by the maximum, mixed by the mean"
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8))
for ax, (rule, scores) in zip(axes, rules.items(), strict=True):
    bins = np.histogram_bin_edges(scores, bins=25)
    for kind, chosen in (("sound", ~defective), ("defective", defective)):
        ax.hist(scores[chosen], bins, color=PALETTE[kind], alpha=0.6, label=kind)
    ax.set(title=f"{rule}, AUROC {reached[rule]:.2f}", xlabel="image score, nats per channel")
axes[0].set_ylabel("test views")
axes[0].legend()
plt.show()

# %% [markdown]
# Left, the maximum: several defective views lie to the right of all sound ones, others hide among
# them. Right, the mean: the two kinds overlap nearly everywhere. The paper takes the maximum, and
# so do we. Its weakness is clear, too: one odd position of a sound part is enough for a false
# alarm.
#
# Now the table that lesson 1 began, with its two rows on the same views, and the flow as the third.
# All three take the maximum over the map.

# %%
raw_train, raw_test = (x * deviation + mean for x in (x_train, x_test))  # in lesson 1's units
off = (raw_test - raw_train.mean(dim=0)) / (raw_train.std(dim=0) + 0.1)
table = {"distance": off.square().mean(2).sqrt(), "Gaussian": nll_white, "flow of one view": nll}
sound = torch.from_numpy(~defective)
for name, maps in table.items():
    area = auroc(defective, image_scores(maps)[:, 0])
    error = standard_error(area, defective)
    likely = f", sound views score ~{maps[sound].mean():.2f} nats" if name != "distance" else ""
    print(f"{name:16} AUROC of C1's views ~{area:.2f} ± ~{error:.2f}{likely}")

# %% [markdown]
# The flow is ahead of the distance and about as good as the Gaussian, within the errors. But the
# ellipses give sound parts the higher likelihood, though nobody trained them: in our short training
# the couplings have not even learned what a covariance knows. That is the honest answer to *why a
# flow*: not couplings *instead of* a Gaussian, but couplings *behind* it. The preset `improved` is
# built so, with ellipses at two scales and all five cameras; on three categories, with three seeds,
# it finds more than either part alone: [the page](results/stronger.md) has the figures, and tells
# why a flow that trains on for longer becomes more likely and finds *less*.
#
# ## Why noise?
#
# During training, Multi-Flow adds *noise* to the features: one random map per sample, the same for
# all channels, with a standard deviation of 0.15. (This kind is called `simplenet`, after
# SimpleNet, arXiv 2303.15140, which finds defects by adding noise to features.) The couplings are
# told about it: they receive 20 times the noise map as one more input channel. In the test the
# noise is zero. (Multi-Flow adds it to the features as the backbone made them. Our channels have
# the deviation 1, theirs have several times as much, so the same 0.15 is stronger here than there.)
# What is this good for? We look at data that is small enough to see: points on a line in the plane,
# $x_2 = -x_1$.


# %% tags=["setup"]
def line(n, generator, slope=-1.0):
    """(n, 1, 2, 1, 1): points on a line in the plane."""
    first = torch.randn(n, generator=generator)
    return torch.stack([first, slope * first], dim=1).reshape(n, 1, 2, 1, 1)


def fit_line(kind, slope=-1.0):
    """A small flow for such points, with noise "none", "hidden" from it or "told"; its losses."""
    torch.manual_seed(0)
    noise = "simplenet" if kind == "told" else "none"
    graph = ViewGraph.empty(1)
    flow = MultiFlow(2, 1, 1, graph, blocks=2, hidden=16, kernel_sizes=[1, 1], noise=noise)
    optimizer = torch.optim.AdamW(flow.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(300 if FAST else 900):
        x = line(128, generator, slope)
        n = 0.15 * torch.randn(128, 1, 1, 1, generator=generator)
        if kind == "hidden":
            x = x + n.unsqueeze(1)
        loss = nll_map(*flow(x, n if kind == "told" else torch.zeros_like(n))).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return flow.eval(), losses


# %% [markdown]
# We train three small flows. The first one sees no noise. The second one sees noisy points, but
# the noise is *hidden* from it. The third one is *told* the noise, as in Multi-Flow.

# %% alt="Three losses: without noise it falls without end, hidden noise stops it, told noise slows it"
line_flows, final = {}, {}
figure, ax = plt.subplots(figsize=(6, 3))
for kind, colour in (("none", "defective"), ("hidden", "sound"), ("told", "ink")):
    line_flows[kind], losses = fit_line(kind)
    final[kind] = np.median(losses[-30:])
    ax.plot(losses, lw=0.8, color=PALETTE[colour], label=kind)
ax.axhline(-0.102, color=PALETTE["ink"], ls=":")
ax.set(ylim=(-2.6, 0.7), xlabel="step", ylabel="loss, nats per channel")
ax.legend(title="noise")
plt.show()

# %% [markdown]
# Without noise the loss falls and falls, with wild peaks on the way. The points have no width
# across the line, so a flow can make the density there as large as it likes: **the likelihood has
# no upper limit**. With hidden noise it stops at the dotted line. That is no accident. The noisy
# points are a normal density with variance 2 along the line and $2 \cdot 0.15^2 = 0.045$ across,
# and no flow can beat the true density, whose score is $\frac12 \big(1 + \frac12 \log 2 + \frac12
# \log 0.045\big) = -0.102$ on average. When the noise is told, the loss falls as it does
# without noise, only more slowly.
#
# What does that mean for a new point that lies 0.1 beside the line in both coordinates?

# %%
points = line(500, torch.Generator().manual_seed(9))
jump = {}
for kind, line_flow in line_flows.items():
    with torch.no_grad():
        on, beside = (nll_map(*line_flow(points + step)).median() for step in (0, 0.1))
    jump[kind] = (beside - on).item()
# Seeds 0 to 2: the last losses were -1.9, -0.10 and -1.6; the jumps were 126 to 270 without
# noise, 0.1 hidden, and 25 to 32 told.
as_predicted = {
    "none": final["none"] < -1 and jump["none"] > 50,
    "hidden": abs(final["hidden"] + 0.102) < 0.05 and jump["hidden"] < 0.5,
    "told": final["told"] < -1 and 5 < jump["told"] < 100,
}
for kind, holds in as_predicted.items():
    print(f"{kind:6} last loss ~{final[kind]:.2f}, jump ~{jump[kind]:.1f} nats: {holds}")

# %% alt="Scores in the plane: a hair, a band, and a valley between the two"
axis = torch.linspace(-2, 2, 161)
grid = torch.cartesian_prod(axis, axis).reshape(-1, 1, 2, 1, 1)
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True)
for ax, (kind, line_flow) in zip(axes, line_flows.items(), strict=True):
    with torch.no_grad():
        values = nll_map(*line_flow(grid)).reshape(161, 161).T
    shown = ax.imshow(values, HEAT, vmin=-2, vmax=6, origin="lower", extent=(-2, 2, -2, 2))
    ax.set(title=f"noise: {kind}", xlabel="$x_1$")
axes[0].set_ylabel("$x_2$")
figure.colorbar(shown, ax=axes, label="score, nats per channel", fraction=0.02)
plt.show()

# %% [markdown]
# Dark means usual. *Left*, without noise, the dark region is a hair, and a tiny step to the side
# costs more than 50 nats per channel. Such a score measures nothing useful: a sound part that is
# new by a hair looks like a disaster. *Middle*, with hidden noise, the line has become a band with
# a width like that of the noise. *Right*, when the noise is told, the valley is wider than on the
# left and much narrower than in the middle.
#
# Why? SoftFlow, from which the idea comes, tells the flow *how strong* the noise is. Multi-Flow
# tells it the noise *itself*. A flow could then learn to take the noise off again, and would gain
# nothing. In practice it learns that only roughly, so some of the smoothing remains. Feature maps
# have such thin directions too, but also 64 real parts that differ. So let us not believe, but
# train twice: same seed, same start, once with and once without noise.

# %%
without, history_without = train_flow("none", epochs=20 if FAST else 60)
flows = {"told": (flow, history), "none": (without, history_without)}
rows = {}
for kind, (trained, _) in flows.items():
    with torch.no_grad():
        on_train, on_test = nll_map(*trained(x_train)), nll_map(*trained(x_test))
    peak = image_scores(on_test)[:, 0]
    rows[kind] = (on_train.mean(), on_test[sound].mean(), auroc(defective, peak))

# %% tags=["nbval-ignore-output"]
print("noise   training   sound test   gap     AUROC")
for kind, (on_train, on_test, area) in rows.items():
    print(f"{kind:6} {on_train:8.3f} {on_test:10.3f} {on_test - on_train:10.3f} {area:8.2f}")

# %%
(train_told, test_told, _), (train_none, test_none, _) = rows.values()
gap_told, gap_none = (test_told - train_told).item(), (test_none - train_none).item()
# Seeds 0 to 2: a gap of 0.057 to 0.060 with noise, 0.068 to 0.075 without.
print("new sound parts score higher than training parts:", gap_told > 0 and gap_none > 0)
print("without noise the training parts fit better:", bool(train_none < train_told))
print(f"and the gap is wider: ~{gap_none:.3f} against ~{gap_told:.3f}: {gap_none > gap_told}")

# %% [markdown]
# What do we see? The first two columns are mean scores at noise zero, in nats per channel. Without
# noise the flow fits its training parts better, and in this short training also new sound parts.
# But the gap between the two is wider: it learns more of its training parts *by heart*. In a run of
# 40 epochs, when this was written, the gap had grown to 0.15 and 0.13 without noise (two seeds) and
# to 0.11 and 0.11 with it, and now the flow with noise explained *new* parts a little better.
#
# And the defects? While this course was written, the AUROC with noise was between 0.05 higher and
# 0.06 lower than without, and the sign changed with the test parts. With about twenty defective
# views the standard error of one such number is 0.06. So the honest report is: noise works against
# learning by heart, as it should. That it finds more defects we could *not* show on this small set.
# Whoever wants to claim it needs more parts and more seeds.
#
# ## The background must not take part
#
# The last trap. About four in ten positions of our pictures show no part at all, only the dark
# ground. One often masks it out. Our ground is dark, so a threshold is enough: a position belongs
# to the *foreground* if any of its 16 by 16 pixels is brighter than 60 of 255.

# %% alt="Pictures and maps whose ground is one flat colour, brighter than most of the part"
bright = (test_pictures.amax(dim=3) > 60).float().unsqueeze(1)
foreground = F.max_pool2d(bright, 16).bool()  # (B, V, H, W) with one view
masked = nll_map(z, log_det, foreground)
print("foreground:", tuple(foreground.shape), f"{foreground.float().mean():.0%} of all positions")
show([0, 1, *ranked[:2].tolist()], masked, "the background scores 0")

# %% [markdown]
# `nll_map` multiplies by the mask, so every background position scores exactly 0. In the maps it
# appears as one flat colour, and that colour is *brighter* than most of the part! Zero looks like
# "nothing here". But on our scale zero is a high score: sound positions lie below it. What that
# does to a maximum can be read from four numbers: two images with two foreground and two background
# positions each.

# %%
tiny = torch.tensor([[-0.9, -0.7, 0.0, 0.0], [-0.9, -0.2, 0.0, 0.0]]).reshape(2, 1, 1, 4)
shows_part = torch.tensor([True, True, False, False]).expand(2, 1, 1, 4)
print("maximum with the background:   ", image_scores(tiny).flatten())
print("maximum of the foreground only:", image_scores(tiny, shows_part).flatten())

# %% [markdown]
# The second image is more unusual than the first: $-0.2$ against $-0.7$. With the background, both
# score 0. **The maximum is floored by the background, and images tie.** With the foreground passed
# on, `image_scores` leaves the background out, and the order is right. Where maps are drawn or
# compared pixel by pixel, nobody leaves anything out. There the library gives the background of
# every image the *lowest* score of its foreground:


# %%
def quiet_background(nll: Tensor, foreground: Tensor) -> Tensor:
    shown = foreground | ~foreground.any(-1, keepdim=True).any(-2, keepdim=True)
    lowest = nll.masked_fill(~shown, torch.inf).amin((2, 3), keepdim=True)
    return torch.where(shown, nll, lowest)


quiet = quiet_background(tiny, shows_part).flatten(2)[:, 0]
print("quiet background:", quiet.double().round(decimals=2).tolist())

# %% [markdown]
# The last two numbers of each row were 0 and are now as low as the lowest of the part. (The first
# line of the function covers an image in which no part was found: then every position counts. To
# look at everything is safer than to look away.)
#
# Does it happen with our flow? Look at the largest scores of the sound views: those below 0 sink
# under the floor.

# %%
sound_peaks = peaks[torch.from_numpy(~defective)]
print(
    f"peaks of sound views: ~{sound_peaks.min():.2f} to ~{sound_peaks.max():.2f} nats per channel"
)

# %% [markdown]
# As long as they lie above 0, the floor does no harm. But that is luck. Measure features in another
# unit, and every score is shifted by the logarithm of what you multiply them by (exercise 3). A
# flow that is trained longer pushes them down as well. So we shift all scores and watch the AUROC
# under both rules.

# %% alt="AUROC over a shift of all scores: flat without the background, falling to 0.5 with it"
shifts = np.linspace(-1.05 * peaks.max().item(), 0.5, 31)
curves = {"background takes part": None, "foreground only": foreground}
figure, ax = plt.subplots(figsize=(6, 3))
for (label, mask), colour in zip(curves.items(), ("defective", "sound"), strict=True):
    areas = []
    for shift in shifts:
        shifted = (nll + shift) * foreground
        areas.append(auroc(defective, image_scores(shifted, mask)[:, 0]))
    ax.plot(shifts, areas, color=PALETTE[colour], label=label)
    curves[label] = np.array(areas)
ax.set(xlabel="shift of all scores, nats per channel", ylabel="AUROC", ylim=(0.45, 1))
ax.legend()
plt.show()

# %%
flat, floored = curves["foreground only"], curves["background takes part"]
print(f"foreground only: the AUROC changes by {np.ptp(flat):.3f}")
print(f"with the background: it falls to {floored[0]:.2f}")

# %% [markdown]
# The lower curve joins the upper one on the right, where scores are high. To the left it drops,
# step by step, as more and more views sink below the floor of 0 and tie. At the end all views have
# the same score, and the AUROC is 0.5, a guess. The upper curve is flat: whoever leaves the
# background out gets the same order in any unit. The released code of the paper falls into this
# trap; the library does not.
#
# ## What we have built
#
# * A **coupling** scales and shifts one half of the channels by what it sees in the other half; the
#   soft clamp keeps its scales between 0.15 and 6.69.
# * Its log-determinant is a sum of log-scales. **Stopped one step early**, the sum is a map.
# * Squared latents and that map give the **score of a position**, in nats per channel.
# * **Whitening** each position is the simplest flow: one ellipse, fitted in a second, hard to beat.
# * The **maximum** over positions finds small defects; the mean does not.
# * **Noise** in training keeps a flow from making densities as sharp as it can.
# * The **background** scores 0, which is not low. It must not take part in a maximum.
#
# ## Exercises
#
# Each cell ends with a check that says whether the answer is right.

# %% [markdown] tags=["exercise"]
# **1. Predict, then run.** A flow has four couplings, and each coupling moves each channel once. By
# which factor can a number be stretched at most by scales alone? And with a clamp of 0.5? Write
# your two predictions into `predicted`, then compute `factors` with `soft_clamp`.
#
# <details><summary>Hint</summary>Log-scales add up, so four couplings stretch by exp(4 ls(s)). How
# large can ls(s) be?</details>

# %% tags=["exercise"]
largest = torch.tensor(1e9)  # a network that wants to stretch without limit
predicted = {1.9: ..., 0.5: ...}
factors = {1.9: ..., 0.5: ...}
# --- solution ---
predicted = {1.9: math.exp(4 * 1.9), 0.5: math.exp(4 * 0.5)}
factors = {clamp: (4 * soft_clamp(largest, clamp)).exp().item() for clamp in predicted}
for clamp, factor in factors.items():
    print(f"clamp {clamp}: at most {factor:.2f}, and exp(4 clamp) is {predicted[clamp]:.2f}")
# A little less than exp(4 clamp), since 0.636 is a little less than 2 / pi. Four couplings of 1.9
# stretch by up to 2,000, four of 0.5 by 7.
# --- check ---
assert ... not in factors.values(), "put what you computed in place of the dots"
assert abs(factors[1.9] - 1982) < 20 and abs(factors[0.5] - 7.38) < 0.05, "a factor is off"
assert all(abs(predicted[c] / factors[c] - 1) < 0.05 for c in factors), "the prediction is off"

# %% [markdown] tags=["exercise"]
# **2. Between max and mean.** Write a rule that takes the mean of the $k$ highest positions of each
# map. With $k = 1$ it is the maximum, with $k = 256$ the mean. When would you use $k = 10$?
#
# <details><summary>Hint</summary><code>tensor.topk(k, dim=2).values</code> are the k highest along
# an axis.</details>


# %% tags=["exercise"]
def top_mean(nll, k):
    """(B, V, H, W) -> (B, V): the mean of the k highest scores."""
    # --- solution ---
    return nll.flatten(2).topk(k, dim=2).values.mean(dim=2)
    # k = 10 suits defects of ten positions and more: one position that is high by chance, such as a
    # grain of dust, then counts a tenth. A defect of one position is thinned out just as much.


# --- check ---
maps = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
for k, rule in ((1, "max"), (256, "mean")):
    answer = top_mean(maps, k)
    assert answer is not None, "the function returns nothing yet"
    off = (answer - image_scores(maps, rule=rule)).abs().max()
    assert off < 1e-5, f"k = {k} is not the {rule}"
    print(f"k = {k} is the {rule}")

# %% [markdown] tags=["exercise"]
# **3. Measure in another unit.** The features of six channels are multiplied by 10, 10, 10, 2, 2
# and 1. The flow gets one more layer in front that divides by the same numbers. By how much does
# the score of every position change, in nats per channel, and is it higher or lower? Put your
# prediction from the log-determinant of the new layer into `change`.
#
# <details><summary>Hint</summary>Dividing a channel by 10 adds -log 10 to the log-determinant, and
# the score has minus the log-determinant, divided by the number of channels.</details>

# %% tags=["exercise"]
torch.manual_seed(0)
six = MultiFlow(6, 4, 4, graph=ViewGraph.empty(1), blocks=2, hidden=8).eval()
features_6 = torch.randn(2, 1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
unit = torch.tensor([10.0, 10, 10, 2, 2, 1]).reshape(6, 1, 1)
change = ...
# --- solution ---
change = (3 * math.log(10) + 2 * math.log(2)) / 6
print(f"every score rises by {change:.4f} nats per channel")
# The features of all parts, sound and defective, take more room in the new unit, so every density
# is lower by the same factor. No order changes.
# --- check ---
assert change is not ..., "put your prediction in place of the dots"
z_6, log_det_6 = six((unit * features_6) / unit)
measured = nll_map(z_6, log_det_6 - unit.log().sum()) - nll_map(*six(features_6))
print(f"measured: {measured.mean():.4f}")
assert abs(measured.mean() - change) < 1e-3, "measured is something else"

# %% [markdown] tags=["exercise"]
# **4. A line that noise does not help.** Multi-Flow adds the *same* noise to all channels. In the
# lesson the line was $x_2 = -x_1$, and the loss with hidden noise stopped at $-0.10$. Predict what
# happens for $x_2 = x_1$. Then train with `fit_line("hidden", slope)` for both lines and keep the
# median of the last 30 losses in `last`. What does this say about feature maps with 112 channels?
#
# <details><summary>Hint</summary>Draw the line and an arrow in direction (1, 1): does it lead
# across the line or along it?</details>

# %% tags=["exercise"]
last = {-1.0: ..., 1.0: ...}
# --- solution ---
for slope in last:
    _, losses = fit_line("hidden", slope)
    last[slope] = np.median(losses[-30:])
    print(f"slope {slope:+.0f}: the loss ends at ~{last[slope]:.1f} nats per channel")
# Noise (n, n) moves a point across the line x2 = -x1, but along the line x2 = x1, which stays as
# thin as it was. In 112 dimensions one common number thickens a single direction out of 112.
# --- check ---
assert ... not in last.values(), "put what you measured in place of the dots"
assert abs(last[-1.0] + 0.10) < 0.05, "slope -1 should stop near -0.10"
assert last[1.0] < -1, "slope +1 should fall below -1"

# %% [markdown]
# ## Further reading
#
# * Dinh, Krueger and Bengio, *NICE*, 2014, [arXiv 1410.8516](https://arxiv.org/abs/1410.8516), and
#   Dinh, Sohl-Dickstein and Bengio, *Density estimation using Real NVP*, 2016,
#   [arXiv 1605.08803](https://arxiv.org/abs/1605.08803): couplings, without and with a scale.
# * Defard and others, *PaDiM*, 2020, [arXiv 2011.08785](https://arxiv.org/abs/2011.08785): one
#   Gaussian for each position.
# * Rudolph, Wandt and Rosenhahn, *DifferNet*, 2020,
#   [arXiv 2008.12577](https://arxiv.org/abs/2008.12577): flows on features find defects.
# * Gudovskiy, Ishizaka and Kozuka, *CFLOW-AD*, 2021,
#   [arXiv 2107.12571](https://arxiv.org/abs/2107.12571), and Yu and others, *FastFlow*, 2021,
#   [arXiv 2111.07677](https://arxiv.org/abs/2111.07677): score maps from flows, in two other ways.
# * Kim and others, *SoftFlow*, 2020, [arXiv 2006.04604](https://arxiv.org/abs/2006.04604): why thin
#   data needs noise.
# * Kruse and Rosenhahn, *Multi-Flow*, 2025, [arXiv 2504.03306](https://arxiv.org/abs/2504.03306).
