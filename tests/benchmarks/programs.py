"""From JPEG to verdict: how long does a part take, in mfkit and as an exported program?

    python tests/benchmarks/programs.py --run runs/together --category wire_plug

Takes a finished run, writes its programs if they are not there, and notebooks/results/programs.md.
Times are processor time of one thread, the least of some rounds, so that a busy machine counts
little.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from pages import machine, markdown

from mfkit.data import fit_image, read_category
from mfkit.experiment import RunFolder, read_results
from mfkit.files import whole_file
from mfkit.inspection import load_scorer, take
from mfkit.inspection.deploy import deploy

PAGE = Path(__file__).parents[2] / "notebooks" / "results" / "programs.md"
TOGETHER = (1, 4)  # parts at a time
ROUNDS = 5

TEXT = """\
# From JPEG to verdict

`python tests/benchmarks/programs.py --run RUN --category {category}`, on {machine}.

Milliseconds of one thread's processor time a part of {views} pictures of {size} px, the least of
{rounds} rounds. "Read" is JPEG to pixels with all checks of a picture, which every way needs; the
others go from pixels to maps, scores and p-value{agreement}. {blocks} blocks, hidden {hidden}.

{table}

`score.onnx` says what mfkit says: its features differ from mfkit's by at most one step of float16,
to which both round them, in fewer than 2 % of all numbers, and from the same features the scores
agree to 1e-4 nats per channel. `deploy` compares both on test pictures and writes no program that
differs. Through the features' rounding, maps on the same pictures may differ by about 1e-3 at
single positions. No operator stood in the way. Those that the program takes: {operators}.
"""


def least(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--category", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = RunFolder(options.run).category(options.category)
    for form, path in (("pt2", folder.program), ("onnx", folder.onnx)):
        if not path.exists():
            deploy(options.run, options.category, form=form)
    config = read_results(options.run)["config"]
    test = read_category(config["data"], options.category).test[: max(TOGETHER)]
    scorer = load_scorer(folder.path, "cpu")
    size = scorer.backbone.size
    taken = [take(sample, scorer.description) for sample in test]
    images = np.stack([np.stack([fit_image(view, size) for view in part.views]) for part in taken])
    program = torch.export.load(folder.program).module()
    single = onnxruntime.SessionOptions()
    single.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder.onnx), single, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs() if output.name != "features"]
    ways: dict[str, Callable[[int], object]] = {
        "read": lambda b: [take(sample, scorer.description) for sample in test[:b]],
        "mfkit.load_scorer": lambda b: scorer(taken[:b]),
        "score.pt2": lambda b: program(torch.from_numpy(images[:b])),
        "score.onnx": lambda b: session.run(names, {"images": images[:b]}),
    }
    rows = [
        [name, *(f"{least(lambda b=b, way=way: way(b)) / b:.0f}" for b in TOGETHER)]
        for name, way in ways.items()
    ]
    text = TEXT.format(
        category=options.category,
        machine=machine(),
        views=images.shape[1],
        size=size,
        rounds=ROUNDS,
        agreement=" with agreement" if scorer.description.usual is not None else "",
        blocks=config["blocks"],
        hidden=config["hidden"],
        operators=", ".join(sorted({node.op_type for node in onnx.load(folder.onnx).graph.node})),
        table=markdown(["way", *(f"{b} at a time" for b in TOGETHER)], rows),
    )
    with whole_file(PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
