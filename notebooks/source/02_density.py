# %% [markdown] tags=["card"]
# # 2 Turn a density inside out
#
# **You build** a normalizing flow for points in the plane, from one line of algebra to a trained
# model that tells how likely a point is and draws new ones.
#
# **You will be able to** compute a density by hand after a change of variables, say what a
# log-determinant does, explain why a loss can be negative, check a flow with autograd and with an
# integral, and draw samples at a temperature.
#
# **You need** derivatives, 2 x 2 matrices, and a first contact with PyTorch. Lesson 1 is useful but
# not required.
#
# **Time and memory** on a laptop with two cores: 50 minutes to read and try, 95 with the exercises;
# half a minute to run (less with `MFKIT_FAST=1`), 1 GB.
#
# **From mfkit** nothing but the picture of the method: this lesson builds everything itself, with
# the library FrEIA for the trained flow.

# %% tags=["setup"]
import base64
import io
import math
import os
import warnings

import ipywidgets as widgets
import matplotlib.pyplot as plt
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import nn

warnings.filterwarnings("ignore", category=SyntaxWarning)  # FrEIA's first import on Python 3.12+
import FrEIA.framework as Ff
import FrEIA.modules as Fm

from mfkit import PALETTE, course

FAST = os.environ.get("MFKIT_FAST") == "1"
WHEEL = sns.color_palette("husl", as_cmap=True)  # colours for directions

# %% [markdown]
# Lesson 1 ended with a wish. We want to know how usual a *combination* of numbers is, and that is
# what a **density** says. High density: such points are common. Low density: such points hardly
# ever occur. An object whose features have a very low density is probably defective.
#
# Densities of pictures look wild, and nobody can write them down. A **normalizing flow** gets
# around that. It bends the space until the data look like a plain bell-shaped cloud, and it keeps a
# record of how much it stretched each place. In the picture of the whole method it is the middle.
#
# There are other ways, and it helps to know what each of them does not give:
#
# | way | density | draws new points | finds the latent of a point |
# |---|---|---|---|
# | Gaussian (lesson 1) | exact, of one shape | yes | yes |
# | variational autoencoder | a lower bound | yes | roughly |
# | generative adversarial network | none | yes | no |
# | diffusion model | a bound, or exact at high cost | yes, in many steps | yes, in many steps |
# | memory of sound patches | none, only a distance | no | - |
# | **normalizing flow** | **exact, of many shapes** | yes | **exactly** |
#
# The price of a flow: every layer must be invertible, and as many numbers come out as went in.

# %% alt="The method with the flow, the latents and the log-determinants in colour"
course.method("density")

# %% [markdown]
# From left to right: the features $\mathbf{x}$ go through K blocks, and each block can be undone.
# What comes out on the right are *latents* $\mathbf{z}$, which should look like noise from the
# normal distribution N(0, 1), and *log-determinants*, the record of stretching. Today we replace
# the feature maps by one number, and then by two.
#
# ## One number, by hand
#
# Our plain density is the standard normal one, written $p_Z$:
#
# $$p_Z(z) = \frac{1}{\sqrt{2\pi}} \, e^{-z^2/2}, \qquad
# \log p_Z(z) = -\frac{z^2}{2} - \log\sqrt{2\pi}$$
#
# Its logarithm is easier to work with, because products become sums. We use the natural logarithm,
# and its unit is called the **nat**.

# %% tags=["setup"]
CONSTANT = math.log(math.sqrt(2 * math.pi))  # 0.919 nats for each number


def normal_log_density(z):
    """log p_Z, in nats, for one number each."""
    return -0.5 * z**2 - CONSTANT


# %%
z = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
print("z      ", z.tolist())
print("density", [round(value, 3) for value in normal_log_density(z).exp().tolist()])

# %% [markdown]
# Suppose the data come about like this: draw $z$ from the normal distribution, then compute
# $x = 2z + 1$. All points are moved by 1 and pulled apart by a factor of 2. What is the density of
# $x$? The number of points between $z = 0$ and $z = 1$ is the same as the number of points between
# $x = 1$ and $x = 3$, for they are the same points. But now they share twice the room. So the
# density is **half as high**.
#
# A flow looks from the other side. It starts from the data and computes the latents, here
# $z = f(x) = (x - 1)/2$. This function has the slope $f'(x) = 1/2$, exactly the factor that we
# found:
#
# $$p_X(x) = p_Z(f(x)) \cdot |f'(x)|$$
#
# This is the **change of variables**. In words: the density at $x$ is the density where $x$ lands,
# times how much the space is stretched on the way. The bars around $f'(x)$ drop its sign, because a
# mirrored space has as much room as before.

# %%
x = torch.tensor([-3.0, -1.0, 1.0, 3.0, 5.0])
z = (x - 1) / 2
density = normal_log_density(z).exp() * 0.5
print("x lands at z =", z.tolist())
print("density of x  ", [round(value, 3) for value in density.tolist()])

# %% [markdown]
# Compare with the line above: the same points of the bell, each with half the density. How do we
# know that this is right? A density has one property that cannot be cheated: **the area under it is
# 1**, since every point must be somewhere. We add up many narrow strips.

# %%
x = torch.linspace(-15, 17, 3201)  # far enough on both sides
step = x[1] - x[0]
bell = normal_log_density((x - 1) / 2).exp()
print(f"area with the slope:    {(bell * 0.5 * step).sum():.3f}")
print(f"area without the slope: {(bell * step).sum():.3f}")

# %% [markdown]
# With the slope the area is 1. Without it the area is 2, and we would have claimed twice as many
# points as there are.

# %% alt="Two bells, the lower one twice as wide and half as high; strips of equal area have one colour"
edges = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
fig, (top, bottom) = plt.subplots(2, 1, figsize=(8, 4.8), layout="constrained")
for ax, scale, shift, name in ((top, 1, 0, "z"), (bottom, 2, 1, "x = 2z + 1")):
    grid = torch.linspace(-5, 7, 600)
    density = normal_log_density((grid - shift) / scale).exp() / scale
    ax.plot(grid, density, color=PALETTE["ink"])
    for i in range(4):
        inside = (grid >= scale * edges[i] + shift) & (grid <= scale * edges[i + 1] + shift)
        colour = PALETTE["sound"] if i % 2 else PALETTE["quiet"]
        ax.fill_between(grid[inside], density[inside], color=colour, alpha=0.6)
    ax.set(xlim=(-5, 7), ylim=(0, 0.42), ylabel="density", xlabel=name)
plt.show()

# %% [markdown]
# Each strip above and the strip below it, in the same place of the order, hold the same points. The
# strips below are twice as wide, and so they are half as high: the same area.
#
# With logarithms the rule becomes a sum of two terms:
#
# $$\log p_X(x) = \log p_Z(f(x)) + \log |f'(x)|$$
#
# The first term asks: *does the point land where points are common?* The second one asks: *how much
# room did the flow make on the way?* This second term is the **log-determinant**. With one number
# it is only the logarithm of a slope; the reason for its name follows soon.
#
# ## A bend makes two humps
#
# A straight line can only make the bell wider and move it. To get a new shape the slope must
# change from place to place. Let us take the curve
#
# $$z = f(x) = x^3 + \tfrac{1}{2} x, \qquad f'(x) = 3x^2 + \tfrac{1}{2}$$
#
# Its slope is always positive. So $f$ always rises, never gives the same $z$ for two different
# $x$, and can be undone. A flow needs this property.


# %% tags=["setup"]
def bend(x):
    """z, and the log-determinant log |dz/dx|."""
    return x**3 + x / 2, torch.log(3 * x**2 + 0.5)


# %% [markdown]
# Before we use the slope we check it. **Autograd**, PyTorch's machine for derivatives, knows
# nothing about our formula and finds the slope by itself.

# %%
x = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0], requires_grad=True)
z, log_det = bend(x)
(slope,) = torch.autograd.grad(z.sum(), x)
print("slopes by autograd:", slope.tolist())
print("their logarithms:  ", [round(value, 4) for value in slope.log().tolist()])
print("our formula:       ", [round(value, 4) for value in log_det.tolist()])

# %% alt="A curve that is flat at 0, its log-determinant with a valley there, and a density with two humps"
x = torch.linspace(-2.5, 2.5, 2001)
z, log_det = bend(x)
log_p = normal_log_density(z) + log_det
print(f"area: {(log_p.exp() * (x[1] - x[0])).sum():.3f}")

fig, axes = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained")
titles = ("the bend: z", "log-determinant (nats)", "density of x")
for ax, values, title in zip(axes, (z, log_det, log_p.exp()), titles, strict=True):
    ax.plot(x, values, color=PALETTE["sound"])
    ax.set(xlabel="x", title=title, xlim=(-1.7, 1.7))
axes[0].set_ylim(-4, 4)
plt.show()

# %% [markdown]
# The left picture shows the bend: flat around 0, steep further out. In the middle, the
# log-determinant is low where the curve is flat and high where it is steep. On the right is the
# density: **two humps** and a valley between them. The point $x = 0$ lands at $z = 0$, the most
# common place of all. But the curve is flat there: a wide piece of $x$ lands on a narrow piece of
# $z$, so the points that belong to that narrow piece have much room in $x$, and the density is low.
# No bell has two humps; the log-determinant made them. The area is still 1. (Lesson 1 ended with
# screws of two kinds, for which a Gaussian has no shape. Here is the first shape for them.)
#
# This is the whole trick. We never wrote down a density with two humps. We wrote a curve, and the
# rule of change of variables turned the plain bell into the density we wanted.
#
# ## Why the loss can be negative
#
# To train a flow we make the data likely: we minimise the **negative log-likelihood** (NLL), which
# is $-\log p_X(x)$, averaged over the data. People who do this for the first time are often
# frightened when the loss falls below zero, and think of a bug. It is none. Watch a bell that
# becomes narrower and narrower. Its width is the standard deviation $\sigma$ ("sigma").

# %%
for sigma in (2.0, 1.0, 0.5, 0.1, 0.01):
    x = sigma * torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    nll = -(normal_log_density(x / sigma) - math.log(sigma)).mean()
    peak = math.exp(-CONSTANT) / sigma
    print(f"sigma {sigma:4}: density at the centre {peak:6.2f}, NLL {nll:5.1f} nats")

# %% [markdown]
# A *probability* is never above 1. A *density* is not a probability but probability **per length**,
# and when all points crowd in a hundredth of a unit, there are about 40 per unit. The logarithm of
# 40 is positive, and minus that is negative.
#
# There is a simple way to see that the zero has no meaning. Measure the same data in millimetres
# instead of metres. Every number becomes 1,000 times larger, every density 1,000 times smaller, and
# the NLL grows by $\log 1000 = 6.9$ nats. Nothing about the data has changed. **Only differences
# between two NLLs mean something**, and only if both are measured in the same units. For a score
# that ranks objects this is enough.
#
# For the same reason the method drops the constant $\log\sqrt{2\pi}$, which is 0.92 for each number
# and the same for all objects. The loss that we use from here on is
#
# $$\text{loss}(x) = \tfrac{1}{2} \, |f(x)|^2 - \mathrm{logdet}(x)$$
#
# where $|f(x)|^2$ is the sum of the squares of all latents of a point, and $\mathrm{logdet}(x)$ its
# log-determinant, both in nats. (We write it as one word. Whoever writes $\log\det$ means the
# logarithm of the *absolute* value, $\log|\det|$, as the bars above say.)
#
# ## Two numbers: areas instead of lengths
#
# Now a point is a pair $(x_1, x_2)$. A flow stretches areas, and each of the two latents may depend
# on both inputs. So there are four slopes. Written as a table they form the **Jacobian**:
#
# $$J = \begin{pmatrix} \partial z_1 / \partial x_1 & \partial z_1 / \partial x_2 \\
# \partial z_2 / \partial x_1 & \partial z_2 / \partial x_2 \end{pmatrix}$$
#
# The factor by which areas grow is the absolute value of its **determinant**. That is where the
# log-determinant has its name from. We check it with a matrix and a square: the corners of a square
# of area 1 become the corners of a parallelogram.

# %%
matrix = torch.tensor([[2.0, 1.0], [0.5, 1.5]])
corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
moved = corners @ matrix.T
a, b = moved, moved.roll(-1, dims=0)
area = 0.5 * (a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]).sum().abs()
print("corners:", moved.tolist())
print(f"area {area:.2f}, determinant {torch.linalg.det(matrix):.2f}")

# %% [markdown]
# The area was computed from the corners alone (by the "shoelace" rule of geometry), and it is the
# determinant: 2.5.
#
# For 2 numbers a determinant is quick. For $n$ numbers the time grows with $n^3$, and a sample of
# lesson 1 has $n = 143{,}360$. Nobody can afford that. But there is one kind of matrix for which a
# determinant is almost free, the **triangular** one. If all entries on one side of the diagonal are
# zero, the determinant is the product of the diagonal, and its logarithm is a *sum*.

# %%
triangular = torch.tensor([[3.0, -8.0, 5.0], [0.0, 0.5, 7.0], [0.0, 0.0, 2.0]])
print("product of the diagonal:", triangular.diagonal().prod().item())
print("determinant:            ", round(torch.linalg.det(triangular).item(), 3))

# %% [markdown]
# The numbers -8, 5 and 7 could be anything; they do not count. So the plan is: **build a map whose
# Jacobian is triangular**, whatever complicated network is inside it.
#
# ## A coupling: let one half move the other
#
# The idea is due to NICE and RealNVP. Split the numbers into two halves. Leave the second half as
# it is, and compute from it a scale and a shift for the first one:
#
# $$z_1 = x_1 \cdot e^{s(x_2)} + t(x_2), \qquad z_2 = x_2$$
#
# Here $s$ is the log-scale and $t$ the shift, and both come from a neural network that sees only
# $x_2$. The exponential makes the factor positive, so the step can always be undone:
# $x_1 = (z_1 - t(x_2)) \cdot e^{-s(x_2)}$. Note that the network itself is never inverted. It is
# only asked again, with the same $x_2$.
#
# And the Jacobian? $z_2$ does not depend on $x_1$: a zero below the diagonal. The entries on the
# diagonal are $e^{s(x_2)}$ and 1. The log-determinant is $s(x_2)$, with no computation at all.


# %% tags=["setup"]
def network(inputs, outputs):
    """A small network, from the numbers that stay to the scale and shift of the others."""
    return nn.Sequential(
        nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs)
    )


class CouplingV1(nn.Module):
    """The second of two numbers moves the first one."""

    def __init__(self):
        super().__init__()
        self.net = network(1, 2)

    def forward(self, x):
        """(B, 2) -> latents (B, 2), log-determinant (B,)."""
        s, t = self.net(x[:, 1:]).T
        z1 = x[:, 0] * torch.exp(s) + t
        return torch.stack([z1, x[:, 1]], dim=1), s

    def inverse(self, z):
        """The way back: (B, 2) -> (B, 2)."""
        s, t = self.net(z[:, 1:]).T
        x1 = (z[:, 0] - t) * torch.exp(-s)
        return torch.stack([x1, z[:, 1]], dim=1)


# %% [markdown]
# Three checks, which every flow of this course has to pass. The way back leads home. The Jacobian
# that autograd finds is triangular. The log-determinant agrees with the one that is computed from
# this Jacobian without any trick (`slogdet`).


# %% tags=["setup"]
def check_flow(flow, inverse, x):
    """Compare a flow with its inverse, and with autograd, at the points x."""
    z, log_det = flow(x)
    jacobians = [torch.autograd.functional.jacobian(lambda p: flow(p[None])[0][0], p) for p in x]
    truth = torch.linalg.slogdet(torch.stack(jacobians)).logabsdet
    home, off = (inverse(z) - x).abs().max().item(), (log_det - truth).abs().max().item()
    print(f"the way back leads home:        {home < 1e-4}, to ~{home:.0e}")
    print(f"log-determinant as by autograd: {off < 1e-4}, to ~{off:.0e}")
    return jacobians


# %%
torch.manual_seed(0)
coupling = CouplingV1()
points = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
jacobians = check_flow(coupling, coupling.inverse, points)
print("below the diagonal:            ", [J[1, 0].item() for J in jacobians])

# %% [markdown]
# All three hold, although the network is random. (`~` stands before a number whose digits differ
# from computer to computer.) They have to hold *for every* network, because they follow from the
# form of the step and not from its weights.
#
# One step moves only $x_1$. A second step, in which $x_1$ moves $x_2$, makes a full block. This
# **two-sided** coupling is what we use from now on, and the library FrEIA has it ready, under the
# name `GLOWCouplingBlock`. Is it the same thing as ours? We build it from two of our networks and
# compare.

# %%
torch.manual_seed(0)
first, second = CouplingV1(), CouplingV1()
networks = iter([second.net, first.net])  # FrEIA asks first for the network that moves x2
block = Fm.GLOWCouplingBlock(
    [(2,)], subnet_constructor=lambda i, o: next(networks), clamp=1, clamp_activation=lambda s: s
)

z, log_det1 = first(points)
z, log_det2 = second(z.flip(1))  # the other way round: now x1 moves x2
(z_freia,), log_det_freia = block([points])
off = (z.flip(1) - z_freia).abs().max().item()
print(f"the same latents: {off < 1e-5}, to ~{off:.0e}")
print("log-determinants:", [round(value, 4) for value in (log_det1 + log_det2).tolist()])
print("FrEIA's:         ", [round(value, 4) for value in log_det_freia.tolist()])

# %% [markdown]
# Both agree. Note how the log-determinants of two steps are **added**. Stretching by 3 and then by
# 2 is stretching by 6, and logarithms turn the product into a sum. A flow with many blocks adds
# many log-determinants; nothing else is needed.
#
# Two details: `clamp=1` with `clamp_activation=lambda s: s` switches off FrEIA's limit on the
# log-scale. With the limit, which we use below, no block can stretch by more than a fixed factor,
# and training is calmer. Lesson 3 looks at that.
#
# ## Train a flow on two arcs
#
# Now real work, with data that no bell can describe: two arcs that hold each other.


# %% tags=["setup"]
def arcs(n, seed):
    """n points on two arcs: (n, 2)."""
    generator = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(n, generator=generator)
    side = torch.where(torch.rand(n, generator=generator) < 0.5, 1.0, -1.0)
    middle = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
    return side[:, None] * middle + 0.1 * torch.randn(n, 2, generator=generator)


# %%
data = arcs(2000, seed=0)
print("shape:", tuple(data.shape))
print("the same points again:", torch.equal(data, arcs(2000, seed=0)))

# %% [markdown]
# We put six blocks in a row. `SequenceINN` is FrEIA's container for it: it runs the blocks one
# after the other and adds up what they return. The last layer of each network starts with zeros.
# Then every scale is 1, every shift is 0, and **the untrained flow changes nothing**. Multi-Flow
# starts in the same calm way.

# %% tags=["setup"]
BLOCKS = 6


def calm_network(inputs, outputs):
    """A network that answers 0 until it is trained."""
    net = network(inputs, outputs)
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return net


def make_flow(seed=0, subnet=calm_network):
    """A sequence of two-sided couplings over two numbers."""
    torch.manual_seed(seed)
    flow = Ff.SequenceINN(2)
    for _ in range(BLOCKS):
        flow.append(Fm.GLOWCouplingBlock, subnet_constructor=subnet)
    return flow


# %%
z, log_det = make_flow()(data)
print("untrained, |z - x| is at most", (z - data).abs().max().item())
print("and the log-determinant", log_det.abs().max().item())

# %% [markdown]
# Training is short: draw points, compute the loss, make a small step downhill. Each step draws
# fresh points with a seed of its own, so that everybody gets the same ones.


# %% tags=["setup"]
def loss_of(flow, x):
    """1/2 |z|^2 - log det, the mean over the points, in nats."""
    z, log_det = flow(x)
    return (0.5 * z.square().sum(dim=1) - log_det).mean()


def fit(flow, steps):
    """Make the arcs likely; the loss of every step."""
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for step in range(steps):
        loss = loss_of(flow, arcs(256, seed=step))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


# %%
flow = make_flow()
losses = fit(flow, steps=300 if FAST else 1000)
print("first losses:", [round(loss, 2) for loss in losses[:3]])

with torch.no_grad():
    test = loss_of(flow, arcs(5000, seed=10**6)).item()
print(f"fresh points: loss ~{test:.2f} nats, between -0.9 and -0.6: {-0.9 < test < -0.6}")

# %% [markdown]
# The band around the last number comes from six trainings with different seeds, which gave -0.69 to
# -0.75 nats in the fast setting, and from the full one with -0.80. After hundreds of steps the last
# digits depend on the processor, therefore `~`.

# %% alt="The loss falls from 0.5 through zero to about -0.7 nats"
fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
ax.plot(losses, color=PALETTE["sound"], linewidth=1)
ax.axhline(0, color=PALETTE["quiet"], linestyle="--")
ax.set(xlabel="step", ylabel="loss (nats per point)")
plt.show()

# %% [markdown]
# The loss starts at 0.5 nats, crosses zero within the first steps, and goes on falling as if zero
# were not there. For us it is not: the loss leaves out the constant, which is $\log 2\pi = 1.84$
# nats for two numbers. The whole negative log-likelihood ends a little above 1 nat. With thinner
# arcs it would be negative as well, since a density may exceed 1.
#
# ## Look at what the flow has done
#
# First the checks, on the trained flow. FrEIA's way back is `rev=True`.

# %%
_ = check_flow(flow, lambda z: flow(z, rev=True)[0], data[:4])

# %% [markdown]
# Then the area, which is now a volume under a surface. We compute the density on a fine grid and
# add everything up.


# %% tags=["setup"]
def grid_points(limit=3.0, count=241):
    """Points of a square grid (count * count, 2), and the area that belongs to each."""
    line = torch.linspace(-limit, limit, count)
    across, down = torch.meshgrid(line, line, indexing="xy")
    return torch.stack([across, down], dim=2).reshape(-1, 2), float(line[1] - line[0]) ** 2


@torch.no_grad()
def log_density(flow, x):
    """log p(x) with its constant, in nats."""
    z, log_det = flow(x)
    return normal_log_density(z).sum(dim=1) + log_det


# %%
grid, area = grid_points()
total = (log_density(flow, grid).exp() * area).sum().item()
print(f"the density integrates to {total:.2f}")

# %% alt="Two arcs and the round cloud they become; below, the density on the arcs and the log-determinant"
with torch.no_grad():
    z, _ = flow(data)
    _, log_det = flow(grid)
colour = torch.atan2(data[:, 1], data[:, 0])
fig, axes = plt.subplots(2, 2, figsize=(8, 7.6), layout="constrained")
for ax, points, title in ((axes[0, 0], data, "data x"), (axes[0, 1], z, "latents z = f(x)")):
    ax.scatter(*points.T, c=colour, cmap=WHEEL, s=4)
    ax.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
maps = {"density of x": log_density(flow, grid).exp(), "log-determinant (nats)": log_det}
for ax, (title, values) in zip(axes[1], maps.items(), strict=True):
    signed = {"cmap": "vlag", "vmin": -4, "vmax": 4} if "log" in title else {"cmap": "rocket"}
    shown = ax.imshow(values.reshape(241, 241), origin="lower", extent=(-3, 3, -3, 3), **signed)
    ax.set_title(title)
    fig.colorbar(shown, ax=ax, shrink=0.8)
plt.show()

# %% [markdown]
# Top left: the data, coloured by their direction from the centre. Top right: where the flow puts
# the same points. The two arcs have been pulled apart and rolled into one round cloud, and points
# of the same colour stay together. A pale gap remains in the middle of the cloud. Bottom left: the
# density that follows, bright along the arcs and dark elsewhere, with a faint bridge where the arcs
# come close: it belongs to the gap, for a flow bends but cannot tear. Bottom right: the
# log-determinant, red where it is positive. On the data it is positive nearly everywhere, since
# thin arcs must be stretched to fill a wide cloud. Outside it is even higher (the colours end at
# 4), and this needs a word.
#
# A high log-determinant makes a point *more* likely. So do strange points get a bonus? We compare
# the two terms of the loss for two points that belong to no arc.

# %%
strange = torch.tensor([[1.2, 0.5], [2.0, 2.0]])
usual = log_density(flow, arcs(5000, seed=10**6))
unlikely = log_density(flow, strange) < usual.min()
with torch.no_grad():
    z, log_det = flow(strange)
with torch.no_grad():
    _, usual_log_det = flow(arcs(5000, seed=10**6))
print(f"data: log-determinant ~{usual_log_det.median():.1f} nats at the median point")
for i, point in enumerate(("(1.2, 0.5)", "(2.0, 2.0)")):
    squares = 0.5 * z[i].square().sum()
    print(f"{point}: log-determinant ~{log_det[i]:.0f}, 1/2 |z|^2 ~{squares:.0f} nats", end="; ")
    print("less likely than all of the data:", bool(unlikely[i]))

# %% [markdown]
# Both points are less likely than each of 5,000 usual ones. The flow has never seen anything there,
# and it throws such points far out of the cloud. That is a strong stretching, so the
# log-determinant is high; but far out the squares of the latents grow much faster. **The score
# needs both terms**, and each alone would mislead. Lesson 3 comes back to it.
#
# A density does not need examples of strange points. It needs to know the usual ones well, and this
# is exactly the situation of a factory.
#
# ## Draw new points
#
# The way back turns noise into data: draw $z$ from N(0, 1), and undo all blocks. Often one
# multiplies $z$ by a **temperature** $\tau$ ("tau") first. With $\tau < 1$ the noise stays near the
# centre: the new points vary less. With $\tau > 1$ they dare more. Is a cold point also a more
# typical one? Look, before you believe it.

# %% alt="Grey data and three clouds of new points, at temperatures 0.5, 1.0 and 1.5"
noise = torch.randn(1500, 2, generator=torch.Generator().manual_seed(3))
fig, axes = plt.subplots(2, 2, figsize=(7.6, 6.4), layout="constrained")
clouds = {"data": data}
for temperature in (0.5, 1.0, 1.5):
    with torch.no_grad():
        clouds[f"temperature {temperature}"], _ = flow(temperature * noise, rev=True)
for ax, (title, points) in zip(axes.flat, clouds.items(), strict=True):
    ax.scatter(*points.T, color=PALETTE["quiet" if title == "data" else "sound"], s=3)
    ax.set(title=title, xlim=(-2.5, 2.5), ylim=(-2, 2), aspect="equal")
plt.show()

# %% [markdown]
# Grey points are data, blue points are new. At temperature 1 they cover both arcs, with some points
# between them: the flow is smooth and cannot tear the one round cloud into two pieces. At 0.5 only
# a part of the arcs is used, and much of the bridge between them, where no data are: the centre of
# the latents is their most likely place, but not the most typical of the data. At 1.5 the points
# begin to leave the arcs. A flow without a way back could not be looked at like this, and a wrong
# way back would show at once.
#
# ## A first slider
#
# How does a cloud become two arcs, block by block? The next cell builds a small tool. Its parts are
# few: two sliders, a picture, a function that draws the picture for the state of the sliders, and a
# line of text that says what the state is. It has the form of the large explorer of lesson 6.


# %% tags=["setup"]
class FlowExplorer(widgets.VBox):
    """Latents on their way back to data: how far they are spread, how many blocks are undone."""

    def __init__(self, flow):
        self.flow = flow
        self.noise = torch.randn(800, 2, generator=torch.Generator().manual_seed(0))
        style = {"continuous_update": False, "style": {"description_width": "110px"}}
        self.temperature = widgets.FloatSlider(
            1.0, min=0.2, max=1.6, step=0.2, description="temperature", **style
        )
        self.undone = widgets.IntSlider(0, min=0, max=BLOCKS, description="blocks undone", **style)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width="420px"))
        for slider in (self.temperature, self.undone):
            slider.observe(self.redraw, "value")
        self.redraw()
        super().__init__([self.temperature, self.undone, self.picture])

    @torch.no_grad()
    def points(self):
        """Latents after the chosen number of blocks has been undone: (800, 2)."""
        x = self.temperature.value * self.noise
        for block in list(self.flow)[BLOCKS - self.undone.value :][::-1]:
            (x,), _ = block([x], rev=True)
        return x

    def figure(self):
        """The points, coloured by where their latents are."""
        figure = Figure(figsize=(4.2, 4), layout="constrained")
        ax = figure.subplots()
        angle = torch.atan2(self.noise[:, 1], self.noise[:, 0])
        ax.scatter(*self.points().T, c=angle, cmap=WHEEL, s=5)
        title = f"{self.undone.value} of {BLOCKS} blocks undone"
        ax.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), title=title)
        return figure

    def redraw(self, _change=None):
        """Put the figure into the picture."""
        png = io.BytesIO()
        self.figure().savefig(png, format="png", dpi=100)
        self.picture.value = png.getvalue()

    def state(self):
        """What the sliders say, as plain numbers."""
        return {"temperature": round(self.temperature.value, 1), "undone": self.undone.value}

    def __repr__(self):
        return f"FlowExplorer({self.state()})"

    def _repr_mimebundle_(self, **kwargs):  # where nothing runs, show the picture alone
        png = base64.b64encode(self.picture.value).decode()
        return super()._repr_mimebundle_(**kwargs) | {"image/png": png}


# %% alt="Two sliders and a picture: a round cloud that begins to bend, three of six blocks undone"
explorer = FlowExplorer(flow)
explorer.undone.value = 3
explorer

# %% [markdown]
# With a running notebook you see two sliders above the picture; otherwise the picture alone, with
# three of six blocks undone. The round cloud has begun to bend. Move `blocks undone` from 0 to 6
# and watch: each block pushes the points along one direction and then along the other, and after
# the last one the arcs are there. Then change the temperature and watch which part of the arcs
# remains.
#
# A tool needs checks, too. With no block undone and temperature 1 we must see the noise itself;
# with all blocks undone, what the whole flow makes of it.

# %%
explorer.undone.value = 0
print(explorer, "- the noise itself:", torch.equal(explorer.points(), explorer.noise))
explorer.undone.value = BLOCKS
with torch.no_grad():
    whole, _ = flow(explorer.noise, rev=True)
print(explorer, "- the whole flow:  ", torch.allclose(explorer.points(), whole))

# %% [markdown]
# ## What we have built
#
# * The change of variables: $\log p_X(x) = \log p_Z(f(x)) + \log|\det J|$. A point is likely if it
#   lands where points are common and if the flow made room for it.
# * The reason for negative losses: a density is no probability, and its zero has no meaning.
# * A coupling: one half moves the other, so the Jacobian is triangular and its log-determinant is a
#   sum of log-scales, whatever the network does.
# * A trained flow of six two-sided couplings with FrEIA, checked by its way back, by autograd and
#   by an integral.
# * Sampling with a temperature, and a first tool with sliders.
#
# One thing is still missing. FrEIA adds all log-scales of a point to **one number**. For a feature
# map with 256 positions we want to know *where* something is unlikely. Lesson 3 stops the sum one
# step early.
#
# ## Exercises
#
# Each cell ends with a check that says whether the answer is right.

# %% [markdown] tags=["exercise"]
# **1. Predict, then run.** Take data from N(0, 1) and the flow $z = 10x$. Its log-determinant is
# $\log 10 = 2.3$ everywhere, which makes the loss smaller. Is this flow therefore better than $z =
# x$? Write the scale whose loss you expect to be lower into `better`, then compute both losses.
#
# <details><summary>Hint</summary>The loss is the mean of 1/2 (scale x)^2 minus
# log(scale).</details>

# %% tags=["exercise"]
x = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
better = ...  # 1.0 or 10.0
losses = {1.0: ..., 10.0: ...}
# --- solution ---
better = 1.0
losses = {scale: (0.5 * (scale * x) ** 2 - math.log(scale)).mean().item() for scale in losses}
for scale, loss in losses.items():
    print(f"z = {scale:4} x: loss {loss:.1f} nats")
# The points land 10 times too far out. That costs 50 - 0.5 nats, and stretching gives back 2.3.
# --- check ---
assert ... not in losses.values(), "put what you computed in place of the dots"
assert abs(losses[1.0] - 0.5) < 0.02, "the loss of z = x is off"
assert abs(losses[10.0] - 47.6) < 2, "the loss of z = 10 x is off"
assert better == min(losses, key=losses.get), "the losses say otherwise: why?"

# %% [markdown] tags=["exercise"]
# **2. Units.** Train nothing. Show with the bell alone, as a flow for metres that changes nothing,
# that measuring the arcs in millimetres changes the NLL by $2 \log 1000$ nats. Compute `nll_metres`
# and `nll_millimetres`, both with the constant. Why 2?
#
# <details><summary>Hint</summary>A flow for the new data first divides by 1,000 and then does what
# the old one did. Its log-determinant is no longer zero.</details>

# %% tags=["exercise"]
metres = arcs(1000, seed=5)
millimetres = 1000 * metres
nll_metres, nll_millimetres = ..., ...
# --- solution ---
nll_metres = -normal_log_density(metres).sum(dim=1).mean()
log_det = 2 * math.log(1 / 1000)  # one for each of the two numbers of a point
nll_millimetres = -(normal_log_density(millimetres / 1000).sum(dim=1) + log_det).mean()
print(f"metres {nll_metres:.2f}, millimetres {nll_millimetres:.2f} nats")
print(f"difference {nll_millimetres - nll_metres:.2f}, 2 log 1000 is {2 * math.log(1000):.2f} nats")
# A point has two numbers, and each of them is squeezed by 1,000: the area shrinks by a million.
# --- check ---
assert nll_metres is not ..., "put what you computed in place of the dots"
expected = -normal_log_density(metres).sum(dim=1).mean()
assert abs(nll_metres - expected) < 1e-3, "the NLL in metres is off: the constant?"
assert abs(nll_millimetres - nll_metres - 2 * math.log(1000)) < 1e-2, "the difference is off"

# %% [markdown] tags=["exercise"]
# **3. Spot the bug, then mend it.** The coupling below trains without an error, and its way back is
# perfect. Yet one line is wrong. Which of the two checks of `check_flow` notices? Write a class that
# is right and let `MendedCoupling` be its name.
#
# <details><summary>Hint</summary>Write the Jacobian of the step on paper. Which entries stand on
# its diagonal?</details>


# %% tags=["exercise"]
class BrokenCoupling(CouplingV1):
    """Somewhere in here is a mistake."""

    def forward(self, x):
        s, t = self.net(x[:, 1:]).T
        z1 = (x[:, 0] + t) * torch.exp(s)
        return torch.stack([z1, x[:, 1]], dim=1), s + t

    def inverse(self, z):
        s, t = self.net(z[:, 1:]).T
        x1 = z[:, 0] * torch.exp(-s) - t
        return torch.stack([x1, z[:, 1]], dim=1)


MendedCoupling = BrokenCoupling  # put a class of yours in place of the right side


# --- solution ---
class Mended(BrokenCoupling):
    """A shift stretches nothing, so it has no place in the log-determinant."""

    def forward(self, x):
        z, _ = super().forward(x)
        s, _ = self.net(x[:, 1:]).T
        return z, s


MendedCoupling = Mended
for kind in (BrokenCoupling, MendedCoupling):
    torch.manual_seed(0)
    coupling = kind()
    print(kind.__name__)
    _ = check_flow(coupling, coupling.inverse, arcs(4, seed=0))
# The way back cannot notice: it undoes the step and never looks at the log-determinant. Only the
# comparison with autograd does.
# --- check ---
torch.manual_seed(0)
mended, x = MendedCoupling(), arcs(4, seed=0)
z, log_det = mended(x)
assert torch.allclose(mended.inverse(z), x, atol=1e-5), "the way back does not lead home"
jacobians = [torch.autograd.functional.jacobian(lambda p: mended(p[None])[0][0], p) for p in x]
truth = torch.linalg.slogdet(torch.stack(jacobians)).logabsdet
assert torch.allclose(log_det, truth, atol=1e-4), "the log-determinant is off"

# %% [markdown] tags=["exercise"]
# **4. Does the integral need training?** Make a flow whose networks are random instead of calm
# (`make_flow(subnet=network)`) and do not train it. Predict the integral of its density, then
# compute `total` on the grid below. Explain why.
#
# <details><summary>Hint</summary>The cell with <code>grid_points()</code> in the lesson does it for
# a trained flow.</details>

# %% tags=["exercise"]
grid, area = grid_points(limit=8.0, count=641)
total = ...
# --- solution ---
total = (log_density(make_flow(subnet=network), grid).exp() * area).sum().item()
print(f"an untrained flow integrates to {total:.2f}")
# Every flow is a density, since it only moves the points of the bell about, and each of them is
# somewhere. Training moves them to where the data are.
# --- check ---
assert total is not ..., "put what you computed in place of the dots"
assert abs(total - 1) < 0.01, "every density integrates to 1"

# %% [markdown] tags=["exercise"]
# **5. Change the flow and explain the loss.** Train once with one block and once with six
# (`make_flow` reads `BLOCKS`), and keep the loss of fresh points in `results[1]` and `results[6]`.
# How much does the loss differ, and what can a single block not do?
#
# <details><summary>Hint</summary><code>BLOCKS = 1</code>, then <code>flow = make_flow()</code>,
# <code>fit(flow, steps)</code> and <code>loss_of(flow, fresh).item()</code> without
# gradients.</details>

# %% tags=["exercise"]
steps, fresh = 300 if FAST else 1000, arcs(5000, seed=10**6)
results = {1: ..., 6: ...}
# --- solution ---
for BLOCKS in results:
    few_or_many = make_flow()
    fit(few_or_many, steps)
    with torch.no_grad():
        results[BLOCKS] = loss_of(few_or_many, fresh).item()
    print(f"{BLOCKS} blocks: ~{results[BLOCKS]:.1f} nats")
# One block moves x1 once and x2 once: it can bend the cloud but not unroll two arcs that hold each
# other. Each further block bends what the one before has bent.
# --- check ---
assert ... not in results.values(), "put what you computed in place of the dots"
assert results[1] - results[6] > 0.3, "six blocks should be better by more than 0.3 nats"

# %% [markdown]
# ## Further reading
#
# * Dinh, Krueger, Bengio, *NICE*, 2014, [arXiv 1410.8516](https://arxiv.org/abs/1410.8516): the
#   first coupling, with shifts only.
# * Dinh, Sohl-Dickstein, Bengio, *Density estimation using Real NVP*, 2016,
#   [arXiv 1605.08803](https://arxiv.org/abs/1605.08803): scales and shifts.
# * Kingma and Dhariwal, *Glow*, 2018, [arXiv 1807.03039](https://arxiv.org/abs/1807.03039): flows
#   that draw faces.
# * Papamakarios and others, *Normalizing Flows for Probabilistic Modeling and Inference*, 2019,
#   [arXiv 1912.02762](https://arxiv.org/abs/1912.02762): the review.
# * Ardizzone and others, *Analyzing Inverse Problems with Invertible Neural Networks*, 2018,
#   [arXiv 1808.04730](https://arxiv.org/abs/1808.04730): from the group that wrote FrEIA.
