"""Options of the command line that belong together."""

import argparse
from os.path import expanduser  # a shell leaves the ~ of --out=~/runs as it is

__all__ = ["data_options", "run_options", "study_options"]

NAMES = "improved, together, standardized, workshop or paper"


def study_options(part: argparse.ArgumentParser) -> None:
    """What a study compares, and how often."""
    part.add_argument("--preset", default="paper", help=f"{NAMES}; default: paper")
    part.add_argument("--out", metavar="DIR", type=expanduser, default="runs/study")
    part.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="default: 0 1 2"
    )
    part.add_argument(
        "--variants",
        nargs="+",
        metavar="NAME",
        help="of wheel, separated, separated-large and gaussian; default: all",
    )
    part.add_argument("--plan", action="store_true", help="say what it takes, and do nothing")
    part.add_argument(
        "--keep-features",
        action="store_true",
        help="by default those of a category are deleted when all its trials are done",
    )
    part.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    part.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    way_options(part)


def run_options(part: argparse.ArgumentParser) -> None:
    """Which model, and how it is trained."""
    part.add_argument("--preset", default="workshop", help=f"{NAMES}; default: workshop")
    part.add_argument(
        "--method",
        help="flow (default), gaussian (PaDiM) or neighbours (PatchCore), fitted in seconds",
    )
    part.add_argument(
        "--out",
        metavar="DIR",
        type=expanduser,
        help="default: runs/PRESET-GRAPH[-MESSAGE], or runs/PRESET-METHOD",
    )
    part.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    part.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    part.add_argument("--seed", type=int, default=0, help="of everything random, default: 0")
    part.add_argument(
        "--graph",
        default="wheel",
        help="wheel (default), shuffled, ring, hub, chain, cycle, complete, or empty: separated",
    )
    part.add_argument("--weight", help="mean or sum of the messages; default: the graph's own")
    part.add_argument(
        "--message",
        help="conv, cross_attention, self_attention, or none: couplings hear no other view; "
        "default: the preset's",
    )
    part.add_argument(
        "--linear",
        action=argparse.BooleanOptionalAction,
        help="views first tell each other what is linear, fitted at once; default: the preset's",
    )
    part.add_argument(
        "--whiten",
        action=argparse.BooleanOptionalAction,
        help="every view and position starts as a Gaussian, fitted at once; default: the preset's",
    )
    part.add_argument(
        "--folds",
        type=int,
        metavar="N",
        help="cross-fit what is fitted at once, so that blocks learn from it what holds for new "
        "samples; 0: do not; default: the preset's",
    )
    part.add_argument(
        "--backbone", help="one that the preset does not take, such as efficientnet_lite0"
    )
    part.add_argument("--blocks", type=int, metavar="N", help="default: the preset's")
    part.add_argument("--hidden", type=int, metavar="N", help="channels; default: the preset's")
    part.add_argument(
        "--kernel-size", type=int, metavar="K", help="of all convolutions; default: 3, ..., 3, 5"
    )
    part.add_argument(
        "--message-dropout",
        type=float,
        metavar="P",
        help="mute all messages with this probability in a step, so that agreement can be scored",
    )
    part.add_argument(
        "--held-out",
        type=float,
        metavar="SHARE",
        help="of the training samples that are kept for calibration; default: the preset's",
    )
    part.add_argument(
        "--features",
        metavar="DIR",
        type=expanduser,
        help="share features between runs; default: in OUT",
    )
    way_options(part)
    part.add_argument(
        "--view-dropout",
        type=float,
        default=0.0,
        metavar="P",
        help="hide each view with this probability in training",
    )


def way_options(part: argparse.ArgumentParser) -> None:
    """How the work is done, by whom, and on which positions."""
    part.add_argument(
        "--foreground",
        metavar="MASKS",
        type=expanduser,
        help="which positions count: none, border, rembg, or a folder of masks; "
        "default: the preset's",
    )
    part.add_argument("--amp", help="bfloat16: faster on GPUs and with AMX; default: float32")
    part.add_argument(
        "--micro-batch",
        type=int,
        metavar="N",
        help="train with the memory of N samples at a time; the result is the same",
    )
    part.add_argument(
        "--cluster",
        metavar="WHERE",
        help="hand the categories to Dask's workers: local, tcp://HOST:PORT or slurm",
    )


def data_options(part: argparse.ArgumentParser) -> None:
    """Which samples."""
    part.add_argument(
        "--data", required=True, metavar="ROOT", type=expanduser, help="folder in Real-IAD's layout"
    )
    part.add_argument(
        "--jsons",
        metavar="NAME",
        help="which split: realiad_jsons (default), realiad_jsons_sv, realiad_jsons_fuiad_0.1 ...",
    )
    part.add_argument("--category", nargs="+", metavar="NAME", help="default: all categories")
    part.add_argument(
        "--missing-views",
        default="error",
        choices=("error", "allow"),
        help="allow: samples that lack views take part with those that they have",
    )
