"""Missing cameras: an error by default, and if allowed, nothing is made up for them."""

import numpy as np
import pandas as pd
import pytest
import torch
from trees import edit, tree

from mfkit.__main__ import main
from mfkit.data import MASK_SIZE, Category, read_category
from mfkit.errors import InputError
from mfkit.experiment import Training, choose_preset, evaluate, export
from mfkit.experiment.run import run
from mfkit.experiment.train import train
from mfkit.features import FeatureStore, Split, present_views
from mfkit.flow import MultiFlow, load_flow
from mfkit.score import PixelMetrics, auroc, nll_map, pixel_map, sample_scores

GONE = {("train", 0, 4), ("train", 1, 4), ("test", 0, 0), ("test", 2, 0), ("test", 2, 3)}


@pytest.fixture
def data(tmp_path):
    """Nine samples of five views, of which four lack five images; GONE holds (split, sample, view).

    In the JSON file samples stand in order, sound before defective, five rows each.
    """

    def drop(table):
        for split in ("train", "test"):
            gone = {5 * sample + view for s, sample, view in GONE if s == split}
            table[split] = [row for k, row in enumerate(table[split]) if k not in gone]

    edit(tree(tmp_path / "data"), drop)
    return tmp_path / "data"


def gone(category, split) -> set[tuple[str, int, int]]:
    samples = enumerate(getattr(category, split))
    return {
        (split, k, view)
        for k, sample in samples
        for view, there in enumerate(sample.present)
        if not there
    }


def allowed(data) -> Category:
    with pytest.warns(UserWarning, match="4 of 9 samples lack views, 5 images in all"):
        return read_category(data, "audiojack", missing_views="allow")


def training_split(data, backbone, folder) -> Split:
    """Four training samples, of which two lack their last view."""
    samples = allowed(data).train
    return Split(samples, FeatureStore.build(folder / "f.f16", samples, backbone))


def test_a_missing_view_is_an_error_unless_allowed(data):
    with pytest.raises(InputError, match=r"has no image of camera 5; .* or take its rows out"):
        read_category(data, "audiojack")
    category = allowed(data)
    assert category.cameras == (1, 2, 3, 4, 5)
    assert gone(category, "train") | gone(category, "test") == GONE
    for sample in (*category.train, *category.test):
        views = zip(sample.present, sample.images, sample.masks, sample.labels, strict=True)
        for present, image, mask, label in views:
            assert present == (image is not None)
            assert present or (mask is None and not label)
    with pytest.raises(InputError, match="missing_views should be 'error' or 'allow'"):
        read_category(data, "audiojack", missing_views="maybe")


def test_check_counts_missing_views_if_they_are_allowed(data, capsys):
    command = ["check", "--data", str(data)]
    assert main(command) == 1
    assert "missing view (4)" in capsys.readouterr().out
    assert main([*command, "--missing-views", "allow"]) == 0
    said = capsys.readouterr().out
    assert "4 of 9 samples lack views, 5 images in all" in said and "no faults" in said


def test_a_camera_that_most_samples_lack_still_is_a_view(data):
    def keep_one(table):
        rows = [row for row in table["train"] if "_C2_" in row["image_path"]]
        for split in ("train", "test"):
            table[split] = [row for row in table[split] if "_C2_" not in row["image_path"]]
        table["train"].append(rows[0])

    edit(data / "realiad_jsons" / "audiojack.json", keep_one)
    with pytest.warns(UserWarning, match="samples lack views"):
        category = read_category(data, "audiojack", missing_views="allow")
    assert category.cameras == (1, 2, 3, 4, 5)
    assert sum(sample.present[1] for sample in category.train) == 1


def test_the_store_holds_nothing_for_a_missing_view(data, backbone, tmp_path):
    category = allowed(data)
    store = FeatureStore.build(tmp_path / "f.f16", category.train, backbone, batch=3)
    x = store[:]
    assert present_views(x).tolist() == [list(sample.present) for sample in category.train]
    assert x[present_views(x)].isfinite().all() and x[~present_views(x)].isnan().all()


def test_training_does_without_them(data, backbone, tmp_path):
    """The weights of what only an absent view needs get no gradient; everything stays finite."""
    split = training_split(data, backbone, tmp_path)
    flow = MultiFlow(*split.features.shape[2:], blocks=1, hidden=4)
    history = train(flow, split, Training(epochs=2, batch=2), tmp_path)
    assert history["loss"].map(np.isfinite).all()
    x, present, _ = split[[0, 1]]
    flow.zero_grad()
    nll_map(*flow(x, present=present)).sum().backward()
    encode = flow.inn[1].net1.encode
    assert not encode[4].weight.grad.any() and encode[0].weight.grad.any()


def test_the_loss_is_the_mean_over_what_is_there(data, backbone, tmp_path):
    """Before the first step the flow is a permutation: half of the mean square."""
    split = training_split(data, backbone, tmp_path)
    flow = MultiFlow(*split.features.shape[2:], blocks=1, hidden=4, noise="none")
    history = train(flow, split, Training(epochs=1, batch=8), tmp_path)
    x = split.features[:]
    assert history["loss"][0] == pytest.approx(x.square().nanmean().item() / 2, rel=1e-5)


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_change_no_result(data, backbone, tmp_path, monkeypatch, micro_batch):
    """Also where their parts of a batch show different numbers of views."""
    split = training_split(data, backbone, tmp_path)
    forward, sizes, weights = MultiFlow.forward, [], []

    def counting(flow, x, *args):
        sizes.append(len(x))
        return forward(flow, x, *args)

    monkeypatch.setattr(MultiFlow, "forward", counting)
    for size in (None, micro_batch):
        torch.manual_seed(0)
        flow = MultiFlow(*split.features.shape[2:], blocks=1, hidden=4)
        training = Training(epochs=2, batch=4, clip_norm=1.0, micro_batch=size)
        history = train(flow, split, training, tmp_path / str(size))
        weights.append([history["loss"].values, *flow.state_dict().values()])
    assert sizes[:2] == [4, 4] and set(sizes[2:]) == {micro_batch, 4 % micro_batch or micro_batch}
    for whole, parts in zip(*weights, strict=True):
        np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-6)


def test_a_defective_sample_stays_so_when_the_view_that_shows_the_defect_is_missing(tmp_path):
    def drop(table):
        table["test"] = [row for row in table["test"] if row["anomaly_class"] == "OK"]

    edit(tree(tmp_path, hidden=(2, 3, 4, 5)), drop)
    with pytest.warns(UserWarning, match="lack views"):
        category = read_category(tmp_path, "audiojack", missing_views="allow")
    bad = [sample for sample in category.test if sample.code != "OK"]
    assert bad and all(sample.label and not any(sample.labels) for sample in bad)


def test_mirrors_belong_to_cameras_whichever_others_there_are(tmp_path):
    def drop(table):
        for split in ("train", "test"):
            table[split] = [row for row in table[split] if "_C1_" not in row["image_path"]]

    edit(tree(tmp_path), drop)
    category = read_category(tmp_path, "audiojack", views=4)
    assert category.cameras == (2, 3, 4, 5)
    assert {sample.flips for sample in category.train} == {(True, False, False, False)}


@pytest.mark.usefixtures("tiny_preset")
def test_a_camera_that_training_never_sees_is_named(tmp_path, capsys):
    def drop(table):
        table["train"] = [row for row in table["train"] if "_C3_" not in row["image_path"]]

    edit(tree(tmp_path / "data"), drop)
    command = ["run", "--data", str(tmp_path / "data"), "--missing-views", "allow"]
    with pytest.warns(UserWarning, match="lack views"):
        assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "camera 3 has no image in the training split" in capsys.readouterr().err


def test_views_that_are_dropped_are_absent_in_training(data, backbone, tmp_path, monkeypatch):
    settings = choose_preset("workshop", view_dropout=0.8, epochs=1).training
    assert (settings.view_dropout, settings.epochs) == (0.8, 1)
    split = training_split(data, backbone, tmp_path)
    forward, shown = MultiFlow.forward, []

    def watching(flow, x, noise, present, *others):
        shown.append((present_views(x), present))
        return forward(flow, x, noise, present, *others)

    monkeypatch.setattr(MultiFlow, "forward", watching)
    flow = MultiFlow(*split.features.shape[2:], blocks=1, hidden=4)
    train(flow, split, settings, tmp_path)
    there, present = shown[0]
    assert present.sum() < there.sum() and not (present & ~there).any()


def test_present_says_its_shape():
    flow, x = MultiFlow(4, 2, 2, blocks=1, hidden=2).eval(), torch.zeros(4, 5, 4, 2, 2)
    for wrong in (torch.ones(1, 5, dtype=torch.bool), torch.ones(4, 5)):
        with pytest.raises(ValueError, match=r"'present' should be \(4, 5\) of bool"):
            flow(x, present=wrong)


def test_view_dropout_hides_views_but_never_all(backbone, tmp_path, monkeypatch):
    samples = read_category(tree(tmp_path, train=8).parents[1], "audiojack").train
    split = Split(samples, FeatureStore.build(tmp_path / "f.f16", samples, backbone))
    forward, seen = MultiFlow.forward, []

    def watching(flow, *given):
        seen.append(given)
        return forward(flow, *given)

    monkeypatch.setattr(MultiFlow, "forward", watching)
    first = []
    for rate, low, high in ((0.0, 1, 1), (0.3, 0.6, 0.8), (0.99, 0.19, 0.25)):
        seen.clear()
        flow = MultiFlow(*split.features.shape[2:], blocks=1, hidden=4)
        train(flow, split, Training(epochs=50, view_dropout=rate), tmp_path / str(rate))
        shown = torch.cat([present for _, _, present, *_ in seen])
        assert shown.shape == (50 * 8, 5) and shown.any(1).all()
        assert low <= shown.float().mean().item() <= high
        first.append(seen[0][:2])
    for x, noise in first[1:]:  # the order and the noise stay as they were
        assert torch.equal(x, first[0][0]) and torch.equal(noise, first[0][1])


def test_absent_views_count_in_no_score():
    scores = torch.tensor([[9.0, 1.0, 2.0]])
    present = torch.tensor([[False, True, True]])
    assert sample_scores(scores, present=present).tolist() == [2.0]
    assert sample_scores(scores, "mean", present).tolist() == [1.5]
    with pytest.raises(ValueError, match="'present' should show at least one view of every sample"):
        sample_scores(scores, present=torch.zeros(1, 3, dtype=torch.bool))


@pytest.mark.usefixtures("tiny_preset")
@pytest.mark.filterwarnings("ignore:.*samples lack views")
def test_a_whole_run_with_missing_views(data, tmp_path, capsys):
    command = ["run", "--data", str(data), "--out", str(tmp_path / "out"), "--view-dropout", "0.2"]
    assert main(command) == 2
    assert "has no image of camera" in capsys.readouterr().err
    assert main([*command, "--missing-views", "allow"]) == 0
    home = tmp_path / "out" / "audiojack"
    category = read_category(data, "audiojack", missing_views="allow")
    present = np.array([sample.present for sample in category.test])
    scores = pd.read_csv(home / "scores.csv")
    images = scores.loc[:, "C1":].to_numpy()
    assert (np.isnan(images) == ~present).all()
    np.testing.assert_allclose(scores["score"], np.nanmax(images, axis=1), rtol=1e-6)
    assert (home / "overview.png").stat().st_size > 0
    export(tmp_path / "out", "audiojack")
    exported = pd.read_pickle(home / "adeval.pkl")
    assert len(exported) == present.sum()
    assert all(np.isfinite(values).all() for values, _, _ in exported.values())


@pytest.mark.usefixtures("tiny_preset")
def test_views_can_be_left_out_when_scoring(tmp_path):
    """What `present` leaves out is as if it had never been there."""
    tree(tmp_path / "data")
    run(tmp_path / "data", tmp_path / "out")
    flow = load_flow(tmp_path / "out" / "audiojack" / "model.pt")
    store = FeatureStore(tmp_path / "out" / "features" / "tiny" / "audiojack" / "test.f16")
    samples = read_category(tmp_path / "data", "audiojack").test
    present = torch.ones(len(samples), 5, dtype=torch.bool)
    present[::2, 1] = present[1, [0, 2, 3, 4]] = False
    metrics, scores = evaluate(flow, Split(samples, store), present=present)
    with torch.no_grad():
        expected = nll_map(*flow(store[:], present=present))
    torch.testing.assert_close(scores.maps[present], expected[present], rtol=1e-5, atol=1e-6)
    assert scores.maps[~present].isnan().all() and scores.images[~present].isnan().all()
    np.testing.assert_allclose(scores.samples, np.nanmax(scores.images, axis=1))
    truth = np.stack([[s.mask(view, MASK_SIZE) for view in range(5)] for s in samples])
    pixels = PixelMetrics()
    pixels.update(pixel_map(scores.maps, MASK_SIZE)[present], truth[present.numpy()])
    labels = [sample.label for sample in samples]
    seen = torch.tensor([sample.labels for sample in samples])[present]
    sound = ~torch.tensor(labels)
    expected = {
        "nll": scores.maps[sound].nanmean((1, 2, 3)).mean().item(),  # every object counts once
        "s_auroc": auroc(labels, scores.samples),
        "s_auroc_mean": auroc(labels, scores.images.nanmean(1)),
        "i_auroc": auroc(seen, scores.images[present]),
        **pixels.compute(),
    }
    assert metrics == pytest.approx(expected)
