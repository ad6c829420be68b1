"""The official tool of Real-IAD reads what `export` writes and finds what we find.

ADEval 1.1.0 calls numpy.trapz, which NumPy 2.4 no longer has: README says how to put it back, and
the tool is run as it says.
"""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import tree

from mfkit.__main__ import main
from mfkit.experiment import export, read_results
from mfkit.experiment.run import run

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
TOOL = next(text for text in re.findall(r"```python\n(.*?)```", README, re.S) if "runpy" in text)
PATTERN = re.search(r'--sample_key_pat "(.*?)"', README)[1]  # the data set's own


def official(path, *options) -> dict[str, float]:
    """What the tool's command line prints: name, number, name, number ..."""
    command = [sys.executable, "-c", TOOL, str(path), "--sample_key_pat", PATTERN, *options]
    command += ["--expected_views_per_sample", "5", "--nstrips", "100000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = done.stdout.strip().splitlines()[-1].split(",")[1:]
    return dict(zip(parts[::2], map(float, parts[1::2]), strict=True))


@pytest.mark.usefixtures("tiny_preset")
@pytest.mark.parametrize("foreground", ["none", "border"])
def test_all_metrics_agree_through_the_command_lines(foreground, tmp_path, capsys):
    """Mirrored views, two underscores and views labelled sound under NG/ included.

    The tool compares at the size of the pictures; with `--evaluate_size 256` at ours.
    """

    def draw(path, camera, seed, defect):
        noise = np.random.default_rng([seed, camera]).integers(0, 12, (64, 64, 3))
        image = 40 + noise
        image[8:56, 10:50] += 70
        if defect and (seed + camera) % 3:  # some defects cannot be seen
            image[:32, :32, 0] += 60
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(path, quality=95)

    options = {"bar": "_", "codes": {"BX": 5, "HS": 4}, "hidden": (2,), "size": 64}
    tree(tmp_path / "data", train=8, sound=6, draw=draw, **options)
    out = tmp_path / "out"
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(out), "--epochs", "4"]
    assert main([*command, "--foreground", foreground]) == 0
    capsys.readouterr()
    assert main(["export", "--run", str(out), "--category", "audiojack"]) == 0
    theirs = official(capsys.readouterr().out.strip(), "--evaluate_size", "256")
    ours = read_results(out)["categories"]["audiojack"]
    for key, name in (
        ("s_auroc", "s_auroc"),
        ("i_auroc", "i_auroc"),
        ("p_auroc", "p_auroc"),
        ("p_ap", "p_aupr"),
        ("p_aupro", "p_aupro"),
    ):
        assert theirs[name] == pytest.approx(ours[key], abs=2e-3), key


@pytest.mark.usefixtures("tiny_preset")
def test_the_tool_notices_a_missing_view(tmp_path):
    """A control: the tool does look at what it is given."""
    tree(tmp_path / "data")
    run(tmp_path / "data", tmp_path / "out")
    path = export(tmp_path / "out", "audiojack")
    entries = pickle.loads(path.read_bytes())
    entries.pop(next(iter(entries)))
    path.write_bytes(pickle.dumps(entries))
    with pytest.raises(AssertionError, match="AssertionError"):
        official(path)
