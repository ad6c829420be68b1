"""A model leaves as one program from pictures to p-values that says what mfkit says."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import tiny_world
from trees import tree

import mfkit
from mfkit.__main__ import main
from mfkit.data import read_category
from mfkit.errors import InputError
from mfkit.experiment import Description
from mfkit.experiment.run import run
from mfkit.inspection import PictureProgram, export_program, load_scorer, output_names, take
from mfkit.inspection.card import threshold
from mfkit.inspection.deploy import deploy
from mfkit.score import p_values

TOGETHER = {"message_dropout": 0.5, "held_out": 0.25, "weight": "sum", "linear": True}


def draw(path, camera, seed, defect):
    """A coloured disc on a plain ground, so that there is a foreground."""
    noise = np.random.default_rng([seed, camera]).integers(0, 20, (16, 16, 3))
    pixels = np.full((16, 16, 3), 200)
    pixels[4:13, 3:11] = noise[4:13, 3:11] + np.array([30 * camera, 60, 20])
    pixels[6:9, 5:8] += 90 * defect
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs with and without a foreground; camera C2 of an audiojack is mirrored."""
    home = tmp_path_factory.mktemp("trained")
    tree(home / "data", train=8, draw=draw)
    with tiny_world():
        run(home / "data", home / "none", **TOGETHER)
        run(home / "data", home / "border", foreground="border")
    return home


def pictures(home):
    """All test samples as arrays (N, 5, 16, 16, 3)."""
    test = read_category(home / "data", "audiojack").test
    return np.stack(
        [[np.asarray(Image.open(path).convert("RGB")) for path in s.images] for s in test]
    )


def test_a_program_of_pictures_needs_no_mfkit(trained, tmp_path, tiny_preset, capsys):
    command = ["deploy", "--run", str(trained / "none"), "--category", "audiojack"]
    assert main(command) == 0
    program, card = capsys.readouterr().out.split()
    np.save(tmp_path / "x.npy", pictures(trained))
    code = (
        "import sys; sys.modules.update(mfkit=None, FrEIA=None); import numpy, torch; "
        f"x = torch.from_numpy(numpy.load({str(tmp_path / 'x.npy')!r})); "
        f"run = torch.export.load({program!r}).module(); "
        f"torch.save([run(x), run(x[:1])], {str(tmp_path / 'y.pt')!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    (maps, images, samples, p, agreement), one = torch.load(tmp_path / "y.pt")
    expected = pd.read_csv(trained / "none" / "audiojack" / "scores.csv")
    np.testing.assert_allclose(samples, expected["score"], atol=1e-4)
    np.testing.assert_allclose(agreement, expected["agreement"], rtol=1e-3)  # in spreads
    np.testing.assert_allclose(images, expected.filter(regex="^C"), atol=1e-4)
    verdicts = load_scorer(trained / "none" / "audiojack")(pictures(trained))
    torch.testing.assert_close(p, verdicts.p_values)
    torch.testing.assert_close(maps, verdicts.scores.maps, atol=1e-4, rtol=0)
    torch.testing.assert_close(one[0], maps[:1], atol=1e-4, rtol=0)
    text = open(card, encoding="utf-8").read()
    assert "$" not in text and str(trained) not in text and "`score.pt2`" in text


def test_a_program_for_a_foreground_is_told_it(trained, tiny_preset):
    program, card = deploy(trained / "border", "audiojack")
    scorer = load_scorer(trained / "border" / "audiojack")
    test = read_category(trained / "data", "audiojack").test
    shows = scorer.foreground([take(sample, scorer.description) for sample in test])
    assert not shows.all()
    module = torch.export.load(program).module()
    _, _, samples = module(torch.from_numpy(pictures(trained)), shows)
    expected = pd.read_csv(trained / "border" / "audiojack" / "scores.csv")
    np.testing.assert_allclose(samples, expected["score"], atol=1e-4)
    assert "module()(images, foreground)" in card.read_text()


def test_the_card_states_thresholds_that_are_p_values(trained, tmp_path, tiny_preset):
    deploy(trained / "none", "audiojack")
    text = (trained / "none" / "audiojack" / "README.md").read_text()
    assert "2 sound training samples were held out" in text and "0.3333" in text
    assert "None: no samples were held out" in _card(trained / "border")
    unseen = torch.randn(99, generator=torch.Generator().manual_seed(0))
    for rate in (0.01, 0.05, 0.2):
        limit = threshold(unseen, rate)
        scores = torch.tensor([limit - 1e-6, limit + 1e-6])[:, None]
        p = p_values(scores, unseen[:, None])
        assert p[0] > rate + 1e-6 and p[1] <= rate + 1e-6


def _card(out):
    deploy(out, "audiojack")
    return (out / "audiojack" / "README.md").read_text()


def test_a_program_that_differs_is_not_written(trained, tmp_path, tiny_preset):
    """As if the export had gone wrong: the flow changes after it."""
    scorer = load_scorer(trained / "none" / "audiojack")
    test = read_category(trained / "data", "audiojack").test
    parts = [take(sample, scorer.description) for sample in test]
    judge = scorer.judge

    def other(*inputs):
        scores, agreement, p, alarms = judge(*inputs)
        return mfkit.inspection.Verdicts(
            type(scores)(scores.maps + 2e-4, *scores[1:]), agreement, p, alarms
        )

    scorer.judge = other
    with pytest.raises(InputError, match="maps of the exported program differ from mfkit's by"):
        export_program(scorer, tmp_path / "score.pt2", parts)
    assert not (tmp_path / "score.pt2").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "exe"], "--format should be one of pt2, onnx, got 'exe'"),
        (["--takes", "words"], "--takes should be one of pictures, features"),
        (["--takes", "features", "--format", "onnx"], "goes with --format pt2 only"),
        (["--data", "nowhere"], "say where the data set lies now, with --data"),
    ],
)
def test_what_cannot_be_deployed_says_why(trained, tiny_preset, options, message, capsys):
    command = ["deploy", "--run", str(trained / "none"), "--category", "audiojack", *options]
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_the_data_may_have_moved(trained, tmp_path, tiny_preset):
    out = shutil.copytree(trained / "none", tmp_path / "out")
    results = (out / "results.json").read_text().replace(str(trained / "data"), "/gone")
    (out / "results.json").write_text(results)
    with pytest.raises(InputError, match="with --data"):
        deploy(out, "audiojack")
    assert deploy(out, "audiojack", data=trained / "data")[0].exists()


def test_without_the_extra_onnx_says_what_to_install(trained, tiny_preset, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    command = ["deploy", "--run", str(trained / "none"), "--category", "audiojack"]
    assert main([*command, "--format", "onnx"]) == 2
    assert "pip install 'mfkit[onnx]'" in capsys.readouterr().err


def test_onnx_says_the_same_and_the_example_of_the_card_needs_no_torch(
    trained, tmp_path, tiny_preset
):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    home = trained / "none" / "audiojack"
    deploy(trained / "none", "audiojack", form="onnx")
    code = re.search(r"```python\n(import sys\n.*?)```", (home / "README.md").read_text(), re.S)[1]
    lines = [line for line in code.splitlines() if line.strip() and '"""' not in line]
    assert len(lines) <= 25
    shutil.copy(home / "score.onnx", tmp_path)
    (tmp_path / "example.py").write_text(f"import sys\nsys.modules['torch'] = None\n{code}")
    test = read_category(trained / "data", "audiojack").test
    places = []
    for number, sample in enumerate(test):
        place = tmp_path / str(number)
        place.mkdir()
        for path in sample.images:
            shutil.copy(path, place)
        places.append(str(place))
    done = subprocess.run(
        [sys.executable, "example.py", *places],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.removeprefix(str(tmp_path)).split() for line in done.stdout.splitlines()]
    expected = pd.read_csv(home / "scores.csv")
    np.testing.assert_allclose([float(row[1]) for row in found], expected["score"], atol=1e-3)
    scorer = load_scorer(home)
    verdicts = scorer(pictures(trained))
    worst = [scorer.description.cameras[v].name for v in verdicts.scores.images.argmax(1)]
    assert [row[2] for row in found] == worst
    np.testing.assert_allclose([float(row[3]) for row in found], verdicts.p_values, atol=1e-4)


def test_outputs_are_named_in_their_order(trained, tiny_preset):
    program = PictureProgram(load_scorer(trained / "none" / "audiojack"), shows_features=True)
    outputs = program(torch.from_numpy(pictures(trained)))
    names = output_names(program)
    assert names == [
        "maps", "image_scores", "sample_scores", "p_values", "agreement", "features"
    ]  # fmt: skip
    assert [len(part.shape) for part in outputs] == [4, 2, 1, 1, 1, 5]
    assert Description.read(trained / "none" / "audiojack" / "model.json").usual is not None
