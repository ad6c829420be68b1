"""What the notebooks of the course share: `places` (where data lie), `picture` (of the method),
`half_step` (a coupling as a graph), `checks` (is an answer right?).

Imported in a notebook, it also makes every `Figure` show itself as the last line of a cell, whether
pyplot drew it or not.
"""

from IPython import get_ipython

from mfkit.course.checks import check
from mfkit.course.half_step import half_step
from mfkit.course.picture import PARTS, method
from mfkit.course.places import find_data, find_realiad

__all__ = [
    "PARTS",
    "check",
    "find_data",
    "find_realiad",
    "half_step",
    "method",
]

if (_shell := get_ipython()) is not None:
    _shell.enable_matplotlib("inline")
