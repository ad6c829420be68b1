"""What the explorer computes is what the flow says: whole, changed, and on the way back."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sets import CHANNELS, HEIGHT, WIDTH, features, small_flow, small_set

from mfkit.errors import InputError
from mfkit.explore.answers import BINS, LEVELS
from mfkit.explore.latents import Latents
from mfkit.explore.patches import PIXELS, Patches
from mfkit.explore.question import Question
from mfkit.features import Split, present_views
from mfkit.flow import ViewGraph, save_flow
from mfkit.score import (
    Agreement,
    Usual,
    agreement_map,
    image_scores,
    mute,
    nll_map,
    quiet_background,
    sample_scores,
)

WHEEL = small_flow(ViewGraph.wheel())
ANY = torch.no_grad()


@pytest.fixture(scope="module")
def category(tmp_path_factory):
    return small_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def latents(category):
    flows = {"apart": small_flow(ViewGraph.empty(5)), "wheel": WHEEL}
    return Latents(
        flows, Split(category.test, features(4)), Split(category.train, features(3, seed=1))
    )


@ANY
def test_whole_samples_are_what_the_flow_says(latents):
    x = features(4)
    z, log_det = WHEEL(x)
    nll = nll_map(z, log_det)
    scores = image_scores(nll)
    for index, answer in enumerate(latents.whole["wheel"]):
        assert answer.nll == pytest.approx(nll[index].numpy(), abs=1e-5)
        assert answer.half == pytest.approx(0.5 * z[index].square().mean(1).numpy(), abs=1e-5)
        assert answer.images == pytest.approx(scores[index].numpy(), abs=1e-5)
        assert answer.z == pytest.approx(z[index].numpy(), abs=1e-2)
        assert answer.map == pytest.approx(answer.nll, abs=1e-6)
        assert latents.ask(Question("wheel", index)) is answer
    assert latents.scores["wheel"] == pytest.approx(sample_scores(scores).numpy(), abs=1e-5)


def test_distributions_are_those_of_the_trace(latents):
    """Histogram, quantiles and moments of each block against NumPy's own."""
    with ANY:
        steps = [features(4), *WHEEL.trace(features(4))]
    answer = latents.whole["wheel"][2]
    assert answer.density.shape == (3, 5, len(BINS) - 1)
    for block, step in enumerate(steps):
        for view in range(5):
            values = step[2, view].flatten().numpy()
            expected, _ = np.histogram(values, BINS)
            width = BINS[1] - BINS[0]
            assert answer.density[block, view] * width * values.size == pytest.approx(expected)
            quantiles = np.quantile(values, LEVELS, method="inverted_cdf")
            off = np.delete(answer.quantiles[block, view] - quantiles, len(LEVELS) // 2)
            assert np.abs(off).max() == 0  # of 72 values the median may be either
            moments = values.mean(), values.std(), (np.abs(values) > 3).mean()
            assert answer.moments[block, view] == pytest.approx(moments, abs=1e-5)


@ANY
def test_changes_are_those_of_the_flow(latents):
    question = Question("wheel", 0, swapped=((1, 3),), absent=(4,), muted=((0, 2), (1, 0)))
    x = features(4)[[0]]
    x[:, 1] = features(4)[3, 1]
    present = torch.tensor([[True, True, True, True, False]])
    nll = nll_map(*WHEEL(x, present=present, muted=[(0, 2), (1, 0)]))
    answer = latents.ask(question)
    assert answer.nll == pytest.approx(nll[0].numpy(), abs=1e-5)
    assert answer.score == pytest.approx(sample_scores(image_scores(nll), present=present).item())
    assert np.isnan(answer.images).tolist() == [False] * 4 + [True]
    assert latents.ask(question) is answer  # remembered


def test_a_flow_that_lacks_an_edge_is_not_run_again(latents):
    assert latents.ask(Question("apart", 1, muted=((0, 1),))) is latents.whole["apart"][1]


def test_what_a_neighbour_told_is_what_the_probe_says(latents):
    told = latents.told(Question("wheel", 2), 3)
    assert sorted(told) == [0, 2, 4]
    for sender, worth in told.items():
        rise = mute(WHEEL, features(4)[[2]], [(sender, 3)])[0, 3].item()
        assert worth.shape == (HEIGHT, WIDTH)
        assert worth.sum() == pytest.approx(rise, abs=1e-3)


def test_silent_and_absent_neighbours_tell_nothing(latents):
    assert sorted(latents.told(Question("wheel", 2, absent=(2,), muted=((0, 3),)), 3)) == [4]
    assert latents.told(Question("wheel", 2, absent=(3,)), 3) == {}
    assert latents.told(Question("apart", 2), 3) == {}


def test_way_back(latents):
    x = features(4)
    changed = Question("wheel", 1, absent=(2,), muted=((0, 1),))
    for question in (Question("wheel", 1), changed):
        back = latents.back(question)
        assert back.error < 1e-4
        assert back.score == pytest.approx(latents.ask(question).score, abs=1e-4)
    assert latents.back(changed).x[2].abs().max() == 0
    assert torch.allclose(latents.back(Question("wheel", 1), 3, 1.0).x, x[3], atol=1e-4)
    drawn = latents.back(Question("wheel", 1), temperature=0.7, seed=5).x
    expected = WHEEL.sample(1, 0.7, torch.Generator().manual_seed(5))[0]
    assert torch.allclose(drawn, expected, atol=1e-5)


def test_halfway_between_two_samples_latents_are_halfway(latents):
    with ANY:
        z, _ = WHEEL(features(4))
        halfway, _ = WHEEL(latents.back(Question("wheel", 0), 2, 0.5).x[None])
    assert torch.allclose(halfway[0], (z[0] + z[2]) / 2, atol=1e-4)


def test_missing_views(category):
    x = features(4)
    x[1, 2] = torch.nan
    first, second, *others = category.test
    images = (*second.images[:2], None, *second.images[3:])
    samples = [first, replace(second, images=images), *others]
    latents = Latents(WHEEL, Split(samples, x))
    question = Question("flow 0", 1)
    assert latents.ask(question).present.tolist() == [True, True, False, True, True]
    borrowed = latents.ask(replace(question, swapped=((2, 0),)))
    assert borrowed.present.all() and np.isfinite(borrowed.images).all()
    lent = latents.ask(replace(question, sample=0, swapped=((2, 1),)))
    assert not lent.present[2]
    there = latents.back(Question("flow 0", 0), towards=1, fraction=1.0).x
    others = [0, 1, 3, 4]
    assert there[2].abs().max() > 0.1, "a view that the other sample lacks goes nowhere"
    assert latents.back(question, towards=1, fraction=1.0).error < 1e-4
    with ANY:
        z, _ = WHEEL(x[[0]])
        end, _ = WHEEL(x[[1]].nan_to_num(), present=present_views(x[[1]]))
        mixed = z.clone()
        mixed[:, others] = end[:, others]
        assert torch.allclose(there, WHEEL.inverse(mixed)[0], atol=1e-4)


@ANY
def test_the_background_does_not_score(category):
    foreground = torch.rand(4, 5, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < 0.5
    foreground[..., 0, 0] = True
    latents = Latents(WHEEL, Split(category.test, features(4), foreground))
    nll = quiet_background(nll_map(*WHEEL(features(4))), foreground)
    for index, answer in enumerate(latents.whole["flow 0"]):
        assert answer.images == pytest.approx(image_scores(nll)[index].numpy(), abs=1e-5)
    x, shown = features(4)[[0]], foreground[[0]]
    x[:, 1], shown[:, 1] = features(4)[2, 1], foreground[2, 1]
    swapped = image_scores(quiet_background(nll_map(*WHEEL(x)), shown))[0]
    answer = latents.ask(Question("flow 0", 0, swapped=((1, 2),)))
    assert answer.images == pytest.approx(swapped.numpy(), abs=1e-5)


def test_saved_flows_are_one_model_after_several_epochs(category, tmp_path):
    paths = [tmp_path / f"{epoch}.pt" for epoch in (1, 2)]
    for seed, path in enumerate(paths):
        save_flow(small_flow(ViewGraph.wheel(), seed), path)
    latents = Latents(paths, Split(category.test, features(4)))
    assert list(latents.flows) == [str(path) for path in paths]
    assert latents.last == str(paths[1])
    assert (latents.scores[str(paths[0])] != latents.scores[str(paths[1])]).all()


@ANY
def test_agreement_is_that_of_the_score(latents):
    """Of whole and of changed samples, in units of what is usual in training."""
    x, train = features(4), features(3, seed=1)
    usual = Usual.of(agreement_map(WHEEL, train))
    expected = Agreement.of(agreement_map(WHEEL, x), usual=usual)
    for index in range(4):
        found = latents.agrees(Question("wheel", index))
        assert found.samples.item() == pytest.approx(expected.samples[index].item(), rel=1e-4)
        assert found.maps[0] == pytest.approx(expected.maps[index].numpy(), rel=1e-3, abs=1e-3)
    assert latents.ranked["wheel"]["agreement"][1] == pytest.approx(
        expected.samples.numpy(), rel=1e-4
    )
    x[0, 1] = x[3, 1]
    present = torch.tensor([[True, True, True, True, False]])
    there = agreement_map(WHEEL, x[[0]], present)
    changed = Agreement.of(there, None, present, usual)
    found = latents.agrees(Question("wheel", 0, swapped=((1, 3),), absent=(4,)))
    assert found.samples.item() == pytest.approx(changed.samples.item(), rel=1e-4)
    assert found.images[0].isnan().tolist() == [False] * 4 + [True]


def test_without_messages_nobody_knows_about_agreement(latents):
    assert latents.agrees(Question("apart", 0)) is None
    assert latents.agrees(Question("wheel", 0, muted=latents.edges)) is None
    assert "agreement" not in latents.ranked["apart"]


@ANY
def test_the_mean_rule_takes_all_positions_that_count(category):
    foreground = torch.rand(4, 5, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < 0.5
    foreground[..., 0, 0] = True
    latents = Latents(WHEEL, Split(category.test, features(4), foreground))
    nll = nll_map(*WHEEL(features(4)))
    expected = image_scores(nll, foreground, "mean")
    images, samples = latents.ranked["flow 0"]["mean"]
    assert images == pytest.approx(expected.numpy(), abs=1e-5)
    assert samples == pytest.approx(expected.mean(1).numpy(), abs=1e-5)
    gone = latents.rules(Question("flow 0", 0, absent=(2,)))["mean"]
    assert np.isnan(gone[0][2]) and np.isfinite(gone[1])


def test_no_camera_is_a_sentence(latents):
    with pytest.raises(InputError, match="No camera is left"):
        latents.ask(Question("wheel", 0, absent=(0, 1, 2, 3, 4)))


def test_usual_of_a_training_is_taken_before_that_of_samples(category):
    own = Usual(torch.zeros(5, HEIGHT, WIDTH), torch.ones(5, HEIGHT, WIDTH))
    split = Split(category.test, features(4))
    train = Split(category.train, features(3, seed=1))
    latents = Latents({"wheel": WHEEL}, split, train, {"wheel": own})
    assert latents.usual["wheel"] is own


def test_what_does_not_fit_is_refused(category):
    split = Split(category.test, features(4))
    with pytest.raises(ValueError, match="at least one flow"):
        Latents([], split)
    with pytest.raises(ValueError, match=r"agree in \(V, C, H, W\)"):
        Latents(WHEEL, Split(category.test, features(4, views=3)))
    with pytest.raises(ValueError, match="got 3 and 4"):
        Latents(WHEEL, Split(category.test[:3], features(4)))
    with pytest.raises(ValueError, match=r"flow 0' should be on the CPU.*flow.cpu\(\)"):
        Latents(copy.deepcopy(WHEEL).to("meta"), split)
    with pytest.raises(ValueError, match="got 4 and 3"):
        Patches(Split(category.test, features(3)))


def test_a_training_sample_is_drawn_with_its_own_patches(category):
    """All patches kept: the nearest to a training feature is the patch that it belongs to."""
    x = features(3, seed=1)
    patches = Patches(Split(category.train, x), most=10_000)
    image = category.train[2].image(4, PIXELS)
    assert (patches.mosaic(x[2, 4], 4) == image).all()
    index = patches.nearest(x[2, 4, :, 1, 1][None], 4)[0, 0]
    assert (patches.around(4, index) == patches.window(image, 1, 1)).all()
    assert patches.window(image, 0, 0).shape == (3 * PIXELS // HEIGHT, PIXELS, 3)


def test_few_patches_are_enough_and_the_same_every_time(category):
    x = features(3, seed=1)
    one, two = (Patches(Split(category.train, x), most=6) for _ in range(2))
    assert [len(vectors) for vectors in one.vectors] == [6] * 5
    assert all(torch.equal(a, b) for a, b in zip(one.vectors, two.vectors, strict=True))
    assert one.nearest(x[0, 0].flatten(1).T, 0, count=9).shape == (HEIGHT * WIDTH, 6)
    assert one.vectors[0].shape[1] == CHANNELS
