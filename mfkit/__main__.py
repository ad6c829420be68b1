"""The command line: python -m mfkit run | study | score | check | table | export | deploy |
explore, and for workshops doctor | workshop."""

import argparse
import importlib
import os
import sys
from contextlib import suppress

import mfkit
from mfkit import escape
from mfkit.endings import ended_like_ctrl_c
from mfkit.errors import NO_ROOM, Diverged, InputError, cannot_write
from mfkit.explore_command import add_explore
from mfkit.kit import add_commands
from mfkit.options import data_options, run_options, study_options

PATH = os.path.expanduser  # a shell leaves the ~ of --out=~/runs as it is


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        exit code 0 if all is well, 1 if a check found faults, 2 on errors, 130 if it was ended, by
        Ctrl-C or by a queue, 141 if the reader of what it prints has left.
    """
    try:
        with ended_like_ctrl_c():
            code = _command(vars(_parser().parse_args(arguments)))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("stopped; the same command continues where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head -1`: nobody is left to be told
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):  # a stream may be no file
            for stream in (sys.stdout, sys.stderr):
                os.dup2(nowhere, stream.fileno())
        return 141


def _command(options: dict) -> int:
    command = options.pop("command")
    if (jsons := options.pop("jsons", None)) is not None:
        options["data"] = os.path.join(options["data"], jsons)  # the folder itself may be given
    try:
        return command(**options)
    except (InputError, Diverged) as error:
        print(escape.terminal(f"error: {error}"), file=sys.stderr)
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError)
        if not (cannot_write(error) or in_the_way):
            raise
        mend = NO_ROOM.get(error.errno, "move it away")
        where = escape.terminal(error.filename or "a file")
        print(
            f"error: {where}: {error.strerror}; {mend} or choose another --out, then type the same "
            "command again: it continues",
            file=sys.stderr,
        )
    return 2


def _run(**options) -> int:
    flow = options["method"] in (None, "flow")
    name = "{preset}-{graph}" if flow else "{preset}-{method}"
    name += "-{message}" if flow and options["message"] else ""
    out = options["out"] = options["out"] or f"runs/{name}".format(**options)
    results = mfkit.run(**options)
    print(escape.terminal(mfkit.table([out]).to_string(float_format="%.1f", na_rep="-")))
    for name in results["categories"]:
        print(escape.terminal(f"pictures: {out}/{name}/overview.png"))
    return 0


def _study(plan: bool, **options) -> int:
    rows = mfkit.run_study(**options, plan_only=plan)
    if rows is not None:
        means = rows.groupby(["variant", "seed"]).mean(numeric_only=True)
        print(means.to_string(float_format="%.1f"))
    return 0


def _check(data: str, category: list[str] | None, missing_views: str) -> int:
    report = mfkit.check(data, category, missing_views=missing_views)
    print(report)
    return 0 if report.ok else 1


def _table(runs: list[str], published: bool, form: str) -> int:
    tables = [mfkit.against_published(run) for run in runs] if published else [mfkit.table(runs)]
    for frame in tables:
        print(mfkit.render(frame, form))
    return 0


def _score(**options) -> int:
    table = mfkit.score_pictures(**options)
    shown = table.drop(columns="note").to_string(index=False, float_format="%.4f", na_rep="-")
    print(escape.terminal(shown))
    for row in table.itertuples():
        if row.note:
            print(escape.terminal(f"{row.sample}: {row.note}"))
    failed = (table["verdict"] == "failed").sum()
    print(f"{len(table)} parts, {failed} failed; table: {options['out']}/verdicts.csv")
    return 2 if failed else 0


def _export(run: str, category: list[str] | None, data: str | None) -> int:
    for name in category or mfkit.read_results(run)["categories"]:
        print(escape.terminal(mfkit.export(run, name, data)), flush=True)
    return 0


def _deploy(run: str, category: str, **options) -> int:
    print(*map(escape.terminal, mfkit.deploy(run, category, **options)), sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mfkit", description="Multi-Flow, step by step: train, evaluate, check."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    part = commands.add_parser("run", help="features, training, evaluation; continues if stopped")
    part.set_defaults(command=_run)
    data_options(part)
    run_options(part)

    part = commands.add_parser(
        "study", help="Multi-Flow and its controls on all categories, with several seeds"
    )
    part.set_defaults(command=_study)
    data_options(part)
    study_options(part)

    part = commands.add_parser("score", help="new pictures: which parts are sound, which are not")
    part.set_defaults(command=_score)
    part.add_argument(
        "--model", required=True, metavar="DIR", help="what a run leaves for a category: OUT/NAME"
    )
    part.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURES",
        help="a folder with one image for each camera, a tree of such folders, or a JSON file in "
        "Real-IAD's form (its test rows); no labels needed",
    )
    part.add_argument("--out", default="runs/score", metavar="DIR", help="default: runs/score")
    part.add_argument("--maps", action="store_true", help="draw pictures and maps of each part")
    part.add_argument(
        "--false-alarms",
        type=float,
        metavar="RATE",
        help="share of sound parts that may be alarms on average; default: 0.05, or the smallest "
        "that the model can promise",
    )
    part.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")

    part = commands.add_parser("check", help="counts, missing views, unreadable files")
    part.set_defaults(command=_check)
    data_options(part)

    part = commands.add_parser("table", help="results of several runs side by side")
    part.set_defaults(command=_table)
    part.add_argument("runs", nargs="+", metavar="DIR", type=PATH, help="the --out of a run")
    part.add_argument(
        "--published", action="store_true", help="beside the published results on Real-IAD"
    )
    part.add_argument(
        "--format", dest="form", default="text", help="text (default), markdown or latex"
    )

    part = commands.add_parser("export", help="a pickle for the official tool, ADEval")
    part.set_defaults(command=_export)
    part.add_argument("--run", required=True, metavar="DIR", type=PATH, help="the --out of a run")
    part.add_argument("--category", nargs="+", metavar="NAME", help="default: all that are done")
    part.add_argument(
        "--data", metavar="ROOT", type=PATH, help="where the data lie now, if they moved"
    )

    part = commands.add_parser("deploy", help="the model as one program, and a model card")
    part.set_defaults(command=_deploy)
    part.add_argument("--run", required=True, metavar="DIR", type=PATH, help="the --out of a run")
    part.add_argument("--category", required=True, metavar="NAME")
    part.add_argument("--takes", default="pictures", help="pictures (default) or features")
    part.add_argument("--format", dest="form", default="pt2", help="pt2 (default) or onnx")
    part.add_argument(
        "--data", metavar="ROOT", help="where the data set lies now, if it has been moved"
    )
    add_commands(commands)
    add_explore(commands)
    return parser


def _environment() -> None:
    """Variables of the environment that this program can do without do not stop it."""
    os.environ["MPLBACKEND"] = "agg"  # pictures go into files
    if not os.environ.get("OMP_NUM_THREADS", "1").split(",")[0].isdigit():
        del os.environ["OMP_NUM_THREADS"]
    try:
        importlib.import_module("tqdm.std")
    except ValueError as error:  # it reads variables when it is imported
        for name in [name for name in os.environ if name.startswith("TQDM_")]:
            print(f"warning: {name} is left out of account: {error}", file=sys.stderr)
            del os.environ[name]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    _environment()
    sys.exit(main())
