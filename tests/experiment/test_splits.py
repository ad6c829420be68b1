"""The other splits of Real-IAD: one camera (sv), and defects hidden in training (fuiad)."""

import json
import re

import pytest
from trees import edit, tree

from mfkit.__main__ import main
from mfkit.experiment import read_results
from mfkit.flow import load_flow

pytestmark = pytest.mark.usefixtures("tiny_preset")


@pytest.fixture
def root(tmp_path):
    """A category in three splits over the same images."""
    root = tmp_path / "data"
    tree(root)
    tree(root, jsons="realiad_jsons_sv", cameras=1, hidden=())

    def hide(table):
        """Rows of a defective sample go into training."""
        rows = [row for row in table["test"] if "NG/BX/S0001" in row["image_path"]]
        table["train"] += rows
        table["test"] = [row for row in table["test"] if row not in rows]

    edit(tree(root, jsons="realiad_jsons_fuiad_0.1"), hide)
    return root


def test_a_split_is_named_on_the_command_line(root, tmp_path, capsys):
    """One camera is trained as a flow without messages; each split is another data set."""
    views, trained = {}, {}
    for jsons in ("realiad_jsons_sv", "realiad_jsons_fuiad_0.1", "realiad_jsons"):
        out = tmp_path / jsons
        command = ["--data", str(root), "--jsons", jsons]
        capsys.readouterr()
        assert main(["run", *command, "--out", str(out)]) == 0
        said = capsys.readouterr().out
        trained[jsons] = int(re.search(r"audiojack: (\d+) training", said)[1])
        views[jsons] = load_flow(out / "audiojack" / "model.pt").graph.views
        assert main(["export", "--run", str(out)]) == 0
        assert main(["check", *command]) == 0
    assert list(views.values()) == [1, 5, 5]
    assert list(trained.values()) == [4, 5, 4]
    assert main(["run", "--data", str(root), "--out", str(tmp_path / "realiad_jsons_sv")]) == 2
    assert "audiojack" in capsys.readouterr().err


def test_a_split_that_is_not_there_is_said_with_those_that_are(root, capsys):
    assert main(["run", "--data", str(root), "--jsons", "realiad_jsons_fuiad_0.2"]) == 2
    said = capsys.readouterr().err
    assert "realiad_jsons_fuiad_0.2" in said and "realiad_jsons_fuiad_0.1" in said


def test_export_writes_every_category_that_is_done(root, tmp_path, capsys):
    tree(root, "mint")
    out = tmp_path / "out"
    assert main(["run", "--data", str(root), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["export", "--run", str(out)]) == 0
    names = list(read_results(out)["categories"])
    assert capsys.readouterr().out.split() == [str(out / name / "adeval.pkl") for name in names]
    assert json.loads((out / "results.json").read_text())["categories"].keys() == {*names}
