"""A study is complete, goes on where it stopped, and its page says what the trials found."""

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import tiny_study
from trees import tree

from mfkit.__main__ import main
from mfkit.data import read_category
from mfkit.errors import InputError
from mfkit.experiment import Job, choose_preset, read_results, size_of
from mfkit.score import auroc
from mfkit.study import VARIANTS, StudyFolder, run_study
from mfkit.study.findings import defects, finished_rows, lost_views, scored
from mfkit.study.study_folder import Trial
from mfkit.study.variants import settings_of
from mfkit.study.worst import worst

NAMES, SEEDS = ("audiojack", "mint"), (0, 1)
TRIALS = len(NAMES) * (3 * len(SEEDS) + 1)  # of a Gaussian nothing is drawn


@pytest.fixture(scope="module")
def small():
    """The tiny preset, and no pictures that take longer than its training."""
    with tiny_study():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two categories whose defects are faint, so that some are missed."""
    root = tmp_path_factory.mktemp("data")
    for number, name in enumerate(NAMES):
        tree(root, name, train=6, sound=4, codes={"BX": 2, "HS": 1}, draw=faint(number))
    return root


def faint(first: int):
    """For `tree`: noise, and a defect that is a little brighter."""

    def draw(path, camera, seed, defect):
        pixels = np.random.default_rng([first, seed, camera]).integers(60, 120, (16, 16, 3))
        pixels[:8, :8] += 5 * defect
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)

    return draw


@pytest.fixture(scope="module")
def whole(data, small, tmp_path_factory) -> Path:
    """The folder of a study that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole")
    assert len(study(data, out)) == TRIALS
    return out


def study(data: Path, out: Path, **options) -> pd.DataFrame:
    return run_study(data, out, preset="workshop", seeds=SEEDS, **options)


def planned() -> list[Trial]:
    runs = [*itertools.product(list(VARIANTS)[:3], SEEDS), ("gaussian", 0)]
    return [Trial(name, *run) for name in NAMES for run in runs]


def test_a_study_leaves_a_run_for_each_variant_and_seed(whole):
    runs = sorted(path.parent.relative_to(whole) for path in whole.glob("*/*/results.json"))
    seeded = [f"{name}/seed-{seed}" for name in list(VARIANTS)[:3] for seed in SEEDS]
    assert runs == sorted(map(Path, [*seeded, "gaussian/seed-0"]))
    for run in runs:
        assert list(read_results(whole / run)["categories"]) == list(NAMES)


def test_features_are_deleted_but_not_what_tells_that_the_data_are_the_same(whole):
    left = {path.name for path in (whole / "features").rglob("*") if path.is_file()}
    assert left == {"digests.json"}


def test_what_is_done_is_not_done_again_and_the_page_stays(data, whole, monkeypatch, capsys):
    before = (whole / "results.html").read_bytes()
    pictures = {path: path.stat().st_mtime_ns for path in (whole / "pictures").iterdir()}
    monkeypatch.setattr("mfkit.experiment.job.train", None)
    study(data, whole)
    assert f"{TRIALS} of {TRIALS} trials are done" in capsys.readouterr().out
    assert (whole / "results.html").read_bytes() == before
    assert pictures == {path: path.stat().st_mtime_ns for path in (whole / "pictures").iterdir()}


def test_an_interrupted_study_goes_on_to_the_same_page(data, whole, tmp_path, monkeypatch, capsys):
    steps = itertools.count()
    step = torch.optim.AdamW.step

    def interrupted(self, *arguments):
        if next(steps) == 25:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch.optim.AdamW, "step", interrupted)
        study(data, tmp_path)
    monkeypatch.setattr("mfkit.study.trials.EVERY", 0)  # a draft whenever a category is done
    study(data, tmp_path)
    told = capsys.readouterr().out
    assert re.search(rf"\n([3-9]|1\d) of {TRIALS} trials are done", told)
    assert f"{TRIALS} of {TRIALS} trials, 0 s left" in told
    assert re.search(r"\nforeseen \d+ \w+ of one worker, took \d+ \w+\n", told)
    assert (tmp_path / "results.html").read_bytes() == (whole / "results.html").read_bytes()


def test_the_page_grows_and_renews_itself_while_categories_are_finished(
    data, small, tmp_path, monkeypatch
):
    drafts = []
    monkeypatch.setattr("mfkit.study.trials.EVERY", 0)
    monkeypatch.setattr("mfkit.experiment.job.Job.run", spied(drafts, tmp_path / "results.html"))
    study(data, tmp_path, variants=["gaussian", "wheel"])
    assert drafts[0] is None and "http-equiv" in drafts[-1]
    assert "audiojack" in drafts[-1] and "mint" not in drafts[-1]
    assert "Still at work: 3 of 6 trials" in drafts[-1]
    last = (tmp_path / "results.html").read_text()
    assert "mint" in last and "http-equiv" not in last and "Still at work" not in last


def spied(drafts: list, page: Path):
    """`Job.run`, which first notes what the page says."""
    run = Job.run

    def before(self):
        drafts.append(page.read_text() if page.exists() else None)
        return run(self)

    return before


def test_a_broken_category_is_told_and_costs_no_other_one(small, tmp_path, capsys):
    root = tmp_path / "data"
    for name in NAMES:
        tree(root, name, train=4)
    image = next((root / "realiad_256" / "audiojack" / "OK" / "S0001").glob("*_C1_*"))
    image.write_bytes(image.read_bytes()[:100])
    command = ["study", "--data", str(root), "--out", str(tmp_path / "out"), "--seeds", "0"]
    command += ["--preset", "workshop", "--variants", "wheel", "separated"]
    assert main(command) == 2
    assert f"{image}: cannot be read as an image" in capsys.readouterr().err
    page = (tmp_path / "out" / "results.html").read_text()
    assert "2 trials are missing" in page and "mint" in page
    assert list((tmp_path / "out" / "features").rglob("digests.json"))


def test_one_number_a_sample_gives_the_aurocs_of_all_groups(whole):
    folder = StudyFolder(whole)
    rows = finished_rows(folder, planned())
    samples = scored(folder, rows)
    keys = list(Trial._fields)
    found = samples[samples["label"]].groupby(keys)["found"].mean()
    expected = rows.set_index(keys)["S-AUROC"] / 100
    pd.testing.assert_series_equal(found, expected.sort_index(), check_names=False)
    part = samples[(samples["category"] == "mint") & (samples["variant"] == "gaussian")]
    chosen = part[~part["label"] | part["sample"].str.contains("HS")]
    by_hand = auroc(chosen["label"], chosen["score"])
    assert chosen.loc[chosen["label"], "found"].mean() == pytest.approx(by_hand)


def test_sizes_and_views_come_from_masks_and_labels(data, whole, tmp_path):
    category = read_category(data, "mint")
    table = defects(StudyFolder(tmp_path), category, "contents-1")
    assert table["code"].tolist() == [sample.code for sample in category.test]
    bad = table["code"] != "OK"
    assert (table.loc[bad, "size"] == 25).all() and table.loc[~bad, "size"].isna().all()
    assert (table.loc[bad, "shows"] == 4).all() and (table.loc[~bad, "shows"] == 0).all()
    again = defects(StudyFolder(tmp_path), category, "contents-1")
    pd.testing.assert_frame_equal(table, again)


def test_missing_views_are_measured_for_one_seed(whole):
    folder = StudyFolder(whole)
    rows = finished_rows(folder, planned())
    lost = lost_views(folder, rows)
    assert set(lost["seed"]) == {0} and set(lost["missing"]) == set(range(5))
    keys = list(Trial._fields)
    full = lost[lost["missing"] == 0].set_index(keys)["S-AUROC"]
    expected = rows.set_index(keys)["S-AUROC"].loc[full.index]
    np.testing.assert_allclose(full, expected)
    assert lost.groupby("missing")["S-AUROC"].mean().nunique() > 1


def test_the_worst_are_told_from_those_that_were_told_apart(whole):
    folder = StudyFolder(whole)
    rows = finished_rows(folder, planned())
    samples = scored(folder, rows)
    chosen = worst(samples, "wheel")
    misses, alarms = chosen["misses"], chosen["false alarms"]
    assert len(misses) == len(alarms) == 2 and (misses["found"] < 1).all()
    assert misses["label"].all() and not alarms["label"].any()
    assert misses["unusual"].is_monotonic_increasing and alarms["unusual"].is_monotonic_decreasing
    perfect = samples.assign(score=samples["label"], found=1.0)
    assert [len(part) for part in worst(perfect, "wheel").values()] == [0, 0]
    page = (whole / "results.html").read_text()
    pictures = {f"pictures/{path.name}" for path in (whole / "pictures").iterdir()}
    assert len(pictures) == 4 and set(re.findall(r'src="(pictures/.*?)"', page)) == pictures
    assert all(re.findall(r'<img [^>]*alt="(.*?)"', page))


def test_a_separated_flow_can_be_as_large():
    for name in ("workshop", "improved"):
        preset = choose_preset(name)
        whole, large = (size_of(settings_of(kind, preset, 5), 5)[0] for kind in LARGE)
        assert large == pytest.approx(whole, rel=0.02)
    assert settings_of("separated-large", choose_preset("workshop"), 5).graph == "empty"


LARGE = ("wheel", "separated-large")


def test_a_plan_does_nothing_and_counts_what_is_left(data, whole, small, tmp_path, capsys):
    command = ["study", "--data", str(data), "--preset", "workshop", "--plan", "--seeds", "0", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert f"{TRIALS} trials are left; measured here, on cpu" in told
    for stage in ("features", "foreground", "training", "evaluation", "together"):
        assert re.search(rf"\n  {stage} +\d+\.\d\d h", told), stage
    assert not list(tmp_path.rglob("results.*"))
    assert main([*command, "--out", str(whole)]) == 0
    assert "measured here" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"variants": ["ring"]}, "'variants' should be of wheel, separated, .* got 'ring'"),
        ({"variants": []}, "'variants' should be of .* got none"),
        ({"category": "cable"}, "no category 'cable'"),
    ],
)
def test_what_cannot_be_is_said(data, small, tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        study(data, tmp_path, **options)
