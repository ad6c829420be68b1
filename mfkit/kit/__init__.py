"""For those who teach and those who begin: `doctor` (is this computer ready?), `workshop` (working
copies of the lessons, opened in JupyterLab), `places` (where the project lies), and `commands`
(both on the command line).

Nothing here loads PyTorch before it must: the doctor is asked when something is missing.
"""

from mfkit.kit.commands import add_commands
from mfkit.kit.doctor import Finding
from mfkit.kit.places import find_project
from mfkit.kit.workshop import copy_lessons, open_lab

__all__ = ["Finding", "add_commands", "copy_lessons", "find_project", "open_lab"]
