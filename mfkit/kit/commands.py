"""The commands `doctor` and `workshop`."""

import argparse

from mfkit import escape
from mfkit.kit.doctor import doctor
from mfkit.kit.workshop import copy_lessons, open_lab

__all__ = ["add_commands"]


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add both to the command line."""
    part = commands.add_parser("doctor", help="is this computer ready for the course?")
    part.set_defaults(command=_doctor)

    part = commands.add_parser("workshop", help="working copies of the lessons, in JupyterLab")
    part.set_defaults(command=_workshop)
    part.add_argument(
        "--out", default="runs/workshop", metavar="DIR", help="default: runs/workshop"
    )
    part.add_argument(
        "--full", action="store_true", help="all samples and steps; lesson 5 takes 20 minutes"
    )
    part.add_argument(
        "--copy-only", action="store_true", help="lay out the copies, open nothing (JupyterHub)"
    )
    part.add_argument(
        "options", nargs="*", metavar="OPTION", help="after --, options of `jupyter lab`"
    )


def _doctor() -> int:
    ill = []
    for finding in doctor():
        print(escape.terminal(f"{finding.what:9} {finding.found}"), flush=True)
        if finding.todo:
            ill.append(finding.what)
            print(escape.terminal(f"{'':9} TO DO: {finding.todo}"), flush=True)
    print(f"not ready: {', '.join(ill)}" if ill else "This computer is ready. Begin with lesson 1.")
    return 1 if ill else 0


def _workshop(out: str, full: bool, copy_only: bool, options: list[str]) -> int:
    folder, kept = copy_lessons(out)
    print(escape.terminal(f"working copies: {folder}"))
    for path in kept:
        print(escape.terminal(f"kept as it is: {path.relative_to(folder)}"))
    return 0 if copy_only else open_lab(folder, fast=not full, options=options)
