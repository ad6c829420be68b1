"""Blocks learn from samples as fitted layers see new ones, and end where new ones fit best."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch

from mfkit.errors import InputError
from mfkit.experiment import Training, score_split
from mfkit.experiment.cross_fit import CrossFitted, deal
from mfkit.experiment.train import train
from mfkit.features import Split
from mfkit.flow import MultiFlow, Pyramid, ViewGraph
from mfkit.score import Agreement, Usual, agreement_map, nll_map, score_map

VIEWS, CHANNELS, HEIGHT, WIDTH = 3, 6, 4, 4
FOLDS = 4
TRAINING = Training(epochs=4, batch=4, learning_rate=1e-2, clip_norm=1.0, folds=FOLDS)


def features(samples: int, seed: int = 0) -> Split:
    """Correlated channels, and a number that the views share."""
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(VIEWS, CHANNELS, CHANNELS, generator=generator)
    generator.manual_seed(seed + 2)
    shared = torch.randn(samples, 1, 1, HEIGHT, WIDTH, generator=generator)
    noise = torch.randn(samples, VIEWS, CHANNELS, HEIGHT, WIDTH, generator=generator)
    x = torch.einsum("vcd,bvdhw->bvchw", mix, noise) + 2 * shared
    return Split([SimpleNamespace(present=(True,) * VIEWS)] * samples, x)


def new_flow(linear: bool = True, **options) -> MultiFlow:
    torch.manual_seed(0)
    sizes = {"blocks": 2, "hidden": 4, "noise": "none", "whiten": True, **options}
    return MultiFlow(CHANNELS, HEIGHT, WIDTH, ViewGraph.wheel(VIEWS), linear=linear, **sizes)


def fit(flow: MultiFlow, split: Split) -> MultiFlow:
    flow.fit([split.features])
    return flow.eval()


def scores(flow: MultiFlow, split: Split) -> float:
    with torch.no_grad():
        return nll_map(*flow(split.features)).mean().item()


def test_every_sample_is_dealt_once():
    watched, taught = deal(10, 4)
    assert watched.tolist() == [0, 4, 8] and sorted([*watched, *taught]) == list(range(10))
    assert [part.tolist() for part in deal(3, 0)] == [[], [0, 1, 2]]
    with pytest.raises(InputError, match="two training samples in each, got 6 folds for 11"):
        deal(11, 6)


@pytest.mark.parametrize("linear", [False, True])
def test_a_sample_goes_through_layers_that_others_fitted(linear):
    split = features(24)
    flow = fit(new_flow(linear), split)
    kept = CrossFitted(flow, split, FOLDS)
    own = torch.arange(24) % FOLDS == 2
    others = new_flow(linear).eval()
    for layer, whole in zip(list(others.inn)[: others.first_block], flow.inn, strict=False):
        if hasattr(whole, "shrinkage"):
            layer.fit([split.features[~own]], tuple(whole.shrinkage.tolist()))
        else:
            layer.fit([split.features[~own]], (whole.directions, whole.ridge.item()))
    rows = own.nonzero()[:, 0]
    for silent in (False, True):
        muted = flow.graph.edges if silent else ()
        before = slice(others.first_block)
        expected = others(split.features[own], muted=muted, part=before)
        for found, wanted in zip(kept(rows, silent), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    same = torch.equal(kept(rows)[0], kept(rows, silent=True)[0])
    assert same is not linear  # without linear messages silence changes nothing here


def test_the_two_parts_of_the_way_are_the_whole_way():
    split = features(8, seed=5)
    flow = fit(new_flow(), features(24)).double()
    for block in flow.inn:
        for name, weight in block.named_parameters():
            torch.nn.init.normal_(weight, std=0.3 if "gamma" in name else 0.1)
    x = split.features.double()
    present = torch.tensor([[True, True, False]]).expand(8, -1)
    for options in ({}, {"present": present}, {"muted": flow.graph.edges[:2]}):
        y, log_det = flow(x, **options, part=slice(flow.first_block))
        z, step = flow(y, **options, part=slice(flow.first_block, None))
        whole, total = flow(x, **options)
        torch.testing.assert_close(z, whole, rtol=0, atol=1e-12)
        torch.testing.assert_close(log_det + step, total, rtol=0, atol=1e-12)


def test_training_samples_look_as_new_ones_do_and_not_better():
    """In front of the blocks: fitted to themselves they look far more normal."""
    split, new = features(16), features(200, seed=1)
    flow = fit(new_flow(blocks=1), split)
    y, log_det = CrossFitted(flow, split, 8)(torch.arange(16))
    themselves, apart, fresh = scores(flow, split), nll_map(y, log_det).mean(), scores(flow, new)
    assert fresh - themselves > 0.1
    assert abs(apart - fresh) < 0.4 * (fresh - themselves)


def test_it_ends_with_the_weights_that_suit_the_unseen_fold_best(tmp_path):
    split = features(24)
    flow = new_flow()
    hot = Training(epochs=15, batch=4, learning_rate=0.05, folds=FOLDS)  # it will get worse again
    history = train(flow, split, hot, tmp_path)
    best = history["unseen"].min()
    assert best < history["unseen"].iloc[-1]
    kept = CrossFitted(flow, split, FOLDS)
    watched, _ = deal(24, FOLDS)
    y, log_det = kept(watched)
    with torch.no_grad():
        z, step = flow(y, part=slice(flow.first_block, None))
    assert nll_map(z, log_det + step).mean().item() == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_it_continues_as_if_nothing_had_happened(tmp_path, monkeypatch, dropout):
    split, settings = features(24), Training(**{**vars(TRAINING), "message_dropout": dropout})
    whole, again = new_flow(), new_flow()
    expected = train(whole, split, settings, tmp_path / "whole")
    step, calls = torch.optim.AdamW.step, []

    def stop(self):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(new_flow(), split, settings, tmp_path / "again")
    history = train(again, split, settings, tmp_path / "again")
    columns = ["epoch", "loss", "unseen"]
    assert history[columns].equals(expected[columns])
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_what_folds_keep_must_not_change_from_step_to_step(tmp_path):
    settings = Training(**{**vars(TRAINING), "view_dropout": 0.2})
    with pytest.raises(InputError, match="'view_dropout' changes what linear messages say"):
        train(new_flow(), features(24), settings, tmp_path)
    train(new_flow(linear=False), features(24), settings, tmp_path)


def test_training_samples_are_scored_as_each_fold_is_by_the_others():
    """Without a block that learned from them they are held-out samples, fold by fold."""
    split = features(24)
    flow = fit(new_flow(blocks=0), split)
    apart = CrossFitted(flow, split, FOLDS)
    units, usual = apart.units()
    maps, fold = torch.empty(24, VIEWS, HEIGHT, WIDTH), torch.arange(24) % FOLDS
    for number in range(FOLDS):
        others, rows = deepcopy(flow), (fold == number).nonzero()[:, 0]
        others.refit([split.features[fold != number]])
        held = score_split(others, split.part(rows.tolist()))
        torch.testing.assert_close(units[rows, 0], held.scores.samples)
        torch.testing.assert_close(score_map(apart.scales(rows)), held.scores.maps)
        maps[rows] = agreement_map(others, split.features[rows])
    for found, wanted in zip(usual, Usual.of(maps), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    agreement = Agreement.of(maps, usual=Usual.of(maps)).samples
    torch.testing.assert_close(units[:, 1], agreement, rtol=1e-4, atol=1e-4)


def test_a_pyramid_is_cross_fitted_scale_by_scale(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, VIEWS, 4 + 4 * 3, HEIGHT, WIDTH, generator=generator)
    split = Split([SimpleNamespace(present=(True,) * VIEWS)] * 16, x)
    torch.manual_seed(0)
    options = {"blocks": 1, "hidden": 4, "noise": "none", "whiten": True, "linear": True}
    graph = ViewGraph.wheel(VIEWS)
    flows = [
        MultiFlow(channels, size, size, graph, message="none", **options)
        for channels, size in ((4, HEIGHT), (3, 2 * HEIGHT))
    ]
    flow = Pyramid(flows, [1, 2])
    apart = CrossFitted(flow, split, FOLDS)
    history = train(flow, split, TRAINING, tmp_path, apart=apart)
    assert len(history) == TRAINING.epochs and history["unseen"].notna().all()
    units, usual = apart.units()
    assert usual.mean.shape == (VIEWS, HEIGHT, WIDTH)
    watched, taught = deal(16, FOLDS)
    assert units[taught, 0].isnan().all() and not units[watched].isnan().any()
    assert not units[:, 1].isnan().any()  # in agreement what blocks know by heart is on both sides
    scales = apart.scales(watched)
    assert score_map(scales).shape == (4, VIEWS, 4 * HEIGHT, 4 * WIDTH)
    best = history["unseen"].min()
    assert nll_map(*flow.fold(scales)).mean().item() == pytest.approx(best, abs=1e-4)
