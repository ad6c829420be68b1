"""The nearest patch is found, a coreset covers the rest, and the score chain gives distances."""

import pytest
import torch

from mfkit.flow import Neighbours, coreset, load_flow, save_flow
from mfkit.score import Scores, agreement_map

VIEWS, CHANNELS, HEIGHT, WIDTH = 3, 5, 4, 2


def features(samples: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, VIEWS, CHANNELS, HEIGHT, WIDTH, generator=generator)


def fitted(x: torch.Tensor, **options) -> Neighbours:
    model = Neighbours(CHANNELS, HEIGHT, WIDTH, VIEWS, **options).eval()
    model.fit(x.split(2))
    return model


def patches(x: torch.Tensor, view: int) -> torch.Tensor:
    return x[:, view].permute(0, 2, 3, 1).flatten(0, 2)


def test_the_score_is_the_distance_to_the_nearest_training_patch_of_the_view():
    x, new = features(6), features(4, seed=1)
    maps = Scores.of(fitted(x).scales(new)).maps
    for view in range(VIEWS):
        expected = torch.cdist(patches(new, view), patches(x, view)).amin(1)
        torch.testing.assert_close(maps[:, view].flatten(), expected)


def test_what_was_seen_scores_nothing_wherever_it_lies(monkeypatch):
    x = features(6)
    model = fitted(x)
    monkeypatch.setattr("mfkit.flow.neighbours.TOGETHER", 1)  # a patch at a time
    maps = Scores.of(model.scales(x[:2].flip(3))).maps
    assert maps.abs().max() < 1e-3 and model.trace(x)[0].isfinite().all()


def test_missing_views_are_not_remembered_and_do_not_score():
    x = features(6)
    holed = x.clone()
    holed[0, 1] = holed[3, 2] = torch.nan
    model = fitted(holed)
    assert model.config["remembered"] == [48, 40, 40]
    assert torch.equal(model.memory1, patches(x[1:], 1))
    present = ~holed[:, :, 0, 0, 0].isnan()
    z, log_det = model(holed, present=present)
    assert z.isfinite().all() and not z[~present].any() and not log_det.any()
    scores = Scores.of([(z, log_det)], present=present)
    assert scores.maps[~present].isnan().all() and scores.samples.isfinite().all()


def test_there_are_no_messages():
    model = fitted(features(3))
    assert not agreement_map(model, features(2)).any()
    with pytest.raises(ValueError, match="'muted' should hold edges"):
        model(features(2), muted=[(0, 1)])
    with pytest.raises(ValueError, match=r"'x' should be \(B, V, C, H, W\)"):
        model(features(2)[:, :2])


@pytest.mark.parametrize("channels", [2, 100])
def test_a_coreset_covers_better_than_chance(channels):
    """Most patches lie in one place, few far away: a random choice forgets those."""
    generator = torch.Generator().manual_seed(0)
    crowd = 0.1 * torch.randn(2000, channels, generator=generator)
    apart = 5 * torch.randn(20, channels, generator=generator)
    x = torch.cat([crowd, apart])[torch.randperm(2020, generator=generator)]
    radii = {}
    choices = {"coreset": coreset(x, 40), "chance": torch.randperm(2020, generator=generator)[:40]}
    for name, chosen in choices.items():
        assert len(set(chosen.tolist())) == 40
        radii[name] = torch.cdist(x, x[chosen]).amin(1).max().item()
    assert radii["coreset"] < 0.2 * radii["chance"]
    assert torch.equal(coreset(x, 40)[:10], coreset(x, 10))


def test_a_coreset_stays_within_twice_the_best_radius():
    x = torch.arange(9.0)[:, None]  # three patches cover them within 1
    assert torch.cdist(x, x[coreset(x, 3)]).amin(1).max() <= 2
    assert sorted(coreset(x, 99).tolist()) == list(range(9))
    assert len(coreset(torch.zeros(5, 2), 3)) == 3  # all the same


def test_a_large_memory_is_thinned_out():
    model = fitted(features(6), limit=10)
    assert model.config["remembered"] == [10, 10, 10]
    whole, thin = (
        Scores.of(m.scales(features(4, seed=1))).maps for m in (fitted(features(6)), model)
    )
    assert (thin >= whole - 1e-5).all() and not torch.allclose(thin, whole)


def test_a_file_brings_it_back(tmp_path):
    holed = features(6)
    holed[0, 1] = torch.nan
    model = fitted(holed)
    save_flow(model, tmp_path / "model.pt")
    again = load_flow(tmp_path / "model.pt")
    assert isinstance(again, Neighbours) and again.device.type == "cpu"
    assert torch.equal(model(features(2))[0], again(features(2))[0])


def test_a_view_that_training_never_sees_is_named():
    x = features(3)
    x[:, 1] = torch.nan
    with pytest.raises(ValueError, match="view 1 is in no training sample"):
        fitted(x)
