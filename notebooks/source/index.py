# %% [markdown]
# # Multi-Flow, step by step
#
# Five cameras look at an object. Is it as it should be? In this course you build Multi-Flow, a
# normalizing flow that answers the question by looking at all five pictures at once, and you
# understand every term of its score. You start with raw pictures and need no GPU.
#
# <!-- course -->
# <!-- /course -->
#
# Take the lessons in this order. Each one starts with a card that says what you build and what you
# need, and ends with exercises. The solutions are in notebooks of their own, linked from the bar at
# the top of each lesson. Minutes are for reading and trying, and behind the stroke with all
# exercises done. The cards say how long the cells run: a minute or two in most lessons, more where
# whole models are trained.
#
# **Two settings.** `make workshop` (or `python -m mfkit workshop`) opens working copies in the fast
# setting: fewer samples and steps, for a class. `make lab` opens the lessons themselves in the full
# one. To be fast there, too, run this in a first cell: `%env MFKIT_FAST=1`.
#
# ## Is everything here?
#
# Run the next cell (Shift + Enter). If something is missing, it says what to do.

# %%
from importlib.util import find_spec

NEEDED = {"torch", "torchvision", "FrEIA", "ipywidgets", "matplotlib", "seaborn", "mfkit"}
missing = sorted(name for name in NEEDED if find_spec(name) is None)
if missing:
    print("Missing:", ", ".join(missing))
    print("Close this page. In the folder of the project type one of these, and open it again:")
    print("    make workshop")
    print('    python -m pip install -e ".[course]"    (where there is no make)')
else:
    from mfkit import course

    print("Pictures:", course.find_data().name)
    print("Everything is here. Begin with lesson 1.")

# %% [markdown]
# For memory, disk, speed and widgets: `python -m mfkit doctor` in a terminal says what is not as it
# should be, and what to do.
#
# ## How the lessons are written
#
# * **Small first.** Every idea starts with a tensor that is small enough to read, and becomes the
#   real thing afterwards.
# * **Two versions.** A first version has its own name, such as `CouplingV1`. What bears a name of
#   the library `mfkit` is the same code as in the library, and a test compares the two.
# * **Checks in the text.** A cell that prints `True` has just tested a claim of the text above it.
#   A number after `~` differs a little from computer to computer.
# * **Exercises** end with a check that says whether the answer is right.
# * **Stored outputs** come from the fast setting. In the full one the cells do the same with more
#   samples and steps.
# * **Shapes.** B samples, V views, C channels, H and W positions: a tensor of features is always
#   (B, V, C, H, W).
#
# The words of the course: a *sample* is one object with all its pictures; a *view* is what one
# camera sees; *sound* means without a defect; *features* are what a frozen network makes of a
# picture; *latents* are what the flow makes of features; a *nat* is the unit of log-likelihoods.
