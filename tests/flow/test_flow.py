"""The numbers of the flow are right: against the released code, autograd, and itself."""

import copy
import itertools
import re

import FrEIA.modules as Fm
import numpy as np
import pytest
import torch
from reference import PARITY, load_reference
from scipy import integrate
from tiny import awake
from torch.autograd.functional import jacobian

from mfkit import score
from mfkit.flow import GRAPHS as MAKERS
from mfkit.flow import MESSAGES, CrossViewCoupling, MultiFlow, ViewGraph, ViewPermutation

VARIANTS = sorted(PARITY.glob("*.npz"))
GRAPHS = {name: make(3) for name, make in MAKERS.items()}
ANY_GRAPH = {name: make(5) for name, make in MAKERS.items()} | {
    "one view": ViewGraph.empty(1),
    "seven views": ViewGraph.wheel(7),
}
EVERY_VARIANT = list(itertools.product(ANY_GRAPH, MESSAGES))


def small_flow(graph=GRAPHS["wheel"], message="conv", channels=3, size=2, **options) -> MultiFlow:
    """A flow in float64 whose messages and scales are far from their starting values."""
    torch.manual_seed(0)
    options = {"blocks": 2, "hidden": 3, "kernel_sizes": [1, 3], **options}
    flow = MultiFlow(channels, size, size, graph=graph, message=message, **options)
    return awake(flow.double().eval())


def features(flow: MultiFlow, samples: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, *flow.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("path", VARIANTS, ids=lambda path: path.stem)
def test_equals_the_released_implementation(path):
    flow, arrays = load_reference(path)
    x, noise, foreground = (torch.from_numpy(arrays[k]) for k in ("x", "noise", "foreground"))
    with torch.no_grad():
        z, log_det = flow(x, noise)
    nll = score.nll_map(z, log_det, foreground)
    for ours, key in ((z, "z"), (log_det, "log_det"), (nll, "score")):
        np.testing.assert_allclose(ours, arrays[key], rtol=0, atol=1e-9)


def test_all_seven_reference_files_are_there():
    assert len(VARIANTS) == 7


@pytest.mark.parametrize("path", VARIANTS, ids=lambda path: path.stem)
def test_inverse_recovers_the_input_of_the_reference(path):
    flow, arrays = load_reference(path)
    x, noise = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["noise"])
    z, _ = flow(x, noise)
    assert (flow.inverse(z, noise) - x).abs().max() < 1e-9


@pytest.mark.parametrize(("graph", "message"), EVERY_VARIANT)
def test_log_determinant_equals_autograd(graph, message):
    flow = small_flow(ANY_GRAPH[graph], message)
    x = features(flow)
    matrix = jacobian(lambda x: flow(x)[0], x).reshape(x.numel(), x.numel())
    torch.testing.assert_close(
        flow(x)[1].sum(), torch.linalg.slogdet(matrix).logabsdet, rtol=0, atol=1e-9
    )


def test_log_determinant_map_equals_autograd_at_every_position():
    """With 1 x 1 kernels and no edges a position depends on itself alone: one slogdet for each."""
    flow = small_flow(GRAPHS["empty"], kernel_sizes=[1, 1])
    x = features(flow)
    matrix = jacobian(lambda x: flow(x)[0], x)[0, :, :, :, :, 0]  # (V, C, H, W, V, C, H, W)
    _, log_det = flow(x)
    for v, i, j in itertools.product(range(3), range(2), range(2)):
        block = matrix[v, :, i, j, v, :, i, j]
        expected = torch.linalg.slogdet(block).logabsdet
        torch.testing.assert_close(log_det[0, v, i, j], expected, rtol=0, atol=1e-9)


def test_coupling_log_determinant_map_is_the_sum_of_its_own_log_scales():
    """Also with messages: the diagonal of the Jacobian of each half, per view and position."""
    flow = small_flow(channels=2, blocks=1, kernel_sizes=[3])
    coupling = flow.inn[1]
    x = features(flow).transpose(1, 2)
    noise = x.new_zeros(1, 1, *x.shape[2:])

    def moved(half):
        return coupling((torch.cat([half, x[:, 1:]], 1),), c=[noise])[0][0][:, :1]

    first = jacobian(moved, x[:, :1]).reshape(12, 12)
    assert torch.equal(first, torch.diag(first.diagonal()))
    z1 = moved(x[:, :1])
    s, _ = coupling.net1(torch.cat([z1, noise], 1).transpose(1, 2)).transpose(1, 2).chunk(2, 1)
    second = (1.9 * 0.636 * torch.atan(s / 1.9)).flatten()
    _, log_det = coupling((x,), c=[noise])
    expected = first.diagonal().log() + second
    torch.testing.assert_close(log_det.flatten(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("graph", "message"), EVERY_VARIANT)
def test_inverse_and_gradients(graph, message):
    flow = small_flow(ANY_GRAPH[graph], message, hidden=8).train()
    x = features(flow, samples=3)
    noise = flow.draw_noise(3, torch.Generator().manual_seed(0)).double()
    z, log_det = flow(x, noise)
    assert (flow.inverse(z, noise) - x).abs().max() < 1e-9
    score.nll_map(z, log_det).mean().backward()
    silent = [name for name, p in flow.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_log_prob_integrates_to_one():
    """Two views of two channels at one position: four dimensions, integrated over a grid."""
    flow = small_flow(ViewGraph.complete(2), channels=2, size=1, kernel_sizes=[1, 1], clamp=0.5)
    axis = torch.linspace(-7, 7, 29, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis, axis, axis).reshape(-1, 2, 2, 1, 1)
    with torch.no_grad():
        density = torch.cat([flow.log_prob(part).exp() for part in grid.split(100_000)])
    density = density.reshape(29, 29, 29, 29).numpy()
    for _ in range(4):
        density = integrate.trapezoid(density, axis.numpy(), axis=-1)
    assert density == pytest.approx(1, abs=1e-3)


def test_log_prob_is_the_normal_density_of_z_plus_the_log_determinant():
    flow = small_flow()
    x = features(flow, samples=2)
    z, log_det = flow(x)
    base = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(x), base + log_det.flatten(1).sum(1))


@pytest.mark.parametrize(("graph", "message"), EVERY_VARIANT)
def test_an_untrained_flow_is_a_permutation(graph, message):
    flow = MultiFlow(6, 4, 4, ANY_GRAPH[graph], blocks=3, hidden=4, message=message)
    flow = flow.double().eval()
    x = features(flow, samples=2)
    z, log_det = flow(x)
    assert torch.equal(z.sort(dim=2).values, x.sort(dim=2).values)
    assert not log_det.any()


def test_the_clamp_bounds_the_log_determinant():
    bounds = [0.1, 1.9]
    steep = [small_flow(clamp=clamp) for clamp in bounds]
    x = 100 * features(steep[0], samples=8)
    for bound, flow in zip(bounds, steep, strict=True):  # 2 blocks move 3 channels
        assert bound < flow(x)[1].abs().max() <= 2 * 3 * bound


def test_softflow_draws_one_spread_for_each_sample():
    noise = MultiFlow(2, 40, 40, blocks=1, hidden=2, noise="softflow").draw_noise(50)
    spread = noise.flatten(1).std(1)
    shape = noise.flatten(1) / spread[:, None]
    assert spread.min() < 0.1 < 0.5 < spread.max()
    assert shape.pow(4).mean().item() == pytest.approx(3, abs=0.1)  # a normal, given its spread


@pytest.mark.parametrize("message", MESSAGES)
def test_a_sample_does_not_depend_on_the_rest_of_the_batch(message):
    flow = small_flow(message=message)
    x = features(flow, samples=3)
    _, together = flow(x)
    _, alone = flow(x[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-12)


SUBSETS = [s for s in itertools.product([False, True], repeat=3) if any(s)]


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("seen", SUBSETS, ids=str)
def test_the_likelihood_of_the_present_views_is_exact(seen, message):
    """Autograd over the present views only; what an absent view holds does not matter."""
    flow = small_flow(GRAPHS["complete"], message)
    x, present = features(flow), torch.tensor([seen])
    x[~present] = torch.nan

    def latents(part):
        full = x.clone()
        full[present] = part
        return flow(full, present=present)[0][present]

    matrix = jacobian(latents, x[present])
    matrix = matrix.reshape(2 * [x[present].numel()])
    z, log_det = flow(x, present=present)
    expected = torch.linalg.slogdet(matrix).logabsdet
    torch.testing.assert_close(log_det.sum(), expected, rtol=0, atol=1e-9)
    base = torch.distributions.Normal(0.0, 1.0).log_prob(latents(x[present])).sum()
    torch.testing.assert_close(flow.log_prob(x, present)[0], base + expected)
    assert not z[~present].any() and not log_det[~present].any()
    back = flow.inverse(z, present=present)
    assert (back - x)[present].abs().max() < 1e-9 and not back[~present].any()
    assert torch.equal(flow.trace(x, present)[-1], z)


def test_present_views_of_a_sample_do_not_depend_on_who_is_absent_elsewhere():
    flow = small_flow()
    x = features(flow, samples=3)
    present = torch.tensor([[True, True, False], [True, True, True], [False, True, False]])
    together = flow(x, present=present)[0]
    torch.testing.assert_close(together[1:2], flow(x[1:2])[0], rtol=0, atol=1e-12)
    for i in range(3):
        alone = flow(x[i : i + 1], present=present[i : i + 1])[0]
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)


def test_a_mean_over_the_present_neighbours_is_the_graph_without_the_absent_view():
    """Views 0 and 1 of a triangle without view 2 are the flow over two views."""
    flow = small_flow(GRAPHS["complete"])
    pair = small_flow(ViewGraph.complete(2))
    state = flow.state_dict()
    for key, value in pair.state_dict().items():
        part = state[key]
        pair.state_dict()[key].copy_(part[tuple(slice(n) for n in value.shape)])
    for key in (k for k in state if ".decode." in k and k.endswith("weight")):
        view = int(key.split(".decode.")[1][0])
        if view < 2:
            place = 1 + GRAPHS["complete"].neighbours[view].index(1 - view)
            columns = [*range(3), *range(3 * place, 3 * place + 3)]
            pair.state_dict()[key].copy_(state[key][:, columns])
    x = features(flow, samples=2)
    present = torch.tensor([[True, True, False]] * 2)
    z, log_det = flow(x, present=present)
    z_pair, log_det_pair = pair(x[:, :2])
    torch.testing.assert_close(z[:, :2], z_pair)
    torch.testing.assert_close(log_det[:, :2], log_det_pair)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("graph", ["wheel", "chain", "cycle", "complete", "shuffled"])
def test_muting_every_edge_separates_the_views(graph, message):
    flow = small_flow(GRAPHS[graph], message)
    x = features(flow)
    changed = x.clone()
    changed[:, 0] += 1
    every = ViewGraph.complete(3).edges if graph == "shuffled" else GRAPHS[graph].edges
    moved = (flow(changed, muted=every)[0] - flow(x, muted=every)[0]).abs().amax((0, 2, 3, 4))
    assert (moved > 0).tolist() == [True, False, False]
    z, _ = flow(x, muted=every[:2])
    assert (flow.inverse(z, muted=every[:2]) - x).abs().max() < 1e-9


@pytest.mark.parametrize("message", MESSAGES)
def test_muting_changes_only_what_lies_downstream_of_the_receiver(message):
    """In 0 -> 1 -> 2, view 0 hears nobody, so muting either edge leaves it alone."""
    flow = small_flow(ViewGraph(((), (0,), (1,))), message)
    x = features(flow)
    for edge, expected in (((0, 1), [False, True, True]), ((1, 2), [False, False, True])):
        moved = (flow(x, muted=[edge])[0] - flow(x)[0]).abs().amax((0, 2, 3, 4)) > 0
        assert moved.tolist() == expected


def test_muted_and_absent_views_are_checked():
    flow = small_flow(GRAPHS["chain"])
    x = features(flow)
    with pytest.raises(ValueError, match=r"'muted' should hold edges .*got \[\(0, 2\)\]"):
        flow(x, muted=[(0, 2)])
    for present in (torch.ones(1, 3), torch.ones(1, 2).bool(), torch.zeros(1, 3).bool()):
        with pytest.raises(ValueError, match=r"'present' should be \(1, 3\) of bool with at least"):
            flow(x, present=present)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("graph", ["wheel", "ring", "hub", "chain", "cycle", "complete"])
def test_other_names_for_the_views_permute_the_result(graph, message):
    """Relabel graph, weights and input alike: the output is relabelled, nothing else."""
    labels = [2, 0, 1]
    flow = small_flow(GRAPHS[graph], message)
    renamed = small_flow(GRAPHS[graph].relabelled(labels), message, seed=5)
    state, target = flow.state_dict(), renamed.state_dict()
    for key, value in state.items():
        if key.endswith(("gamma", "permutation")):
            target[key].copy_(value[[labels.index(view) for view in range(3)]])
            continue
        head, kind, view, rest = re.fullmatch(
            r"(.*)\.(encode|decode|messages)\.([^.]+)\.(.*)", key
        ).groups()
        names = "to".join(str(labels[int(v)]) for v in view.split("to"))
        if kind == "decode" and rest == "weight":
            own, *told = value.split(3, dim=1)
            heard = [labels[j] for j in GRAPHS[graph].neighbours[int(view)]]
            told = [part for _, part in sorted(zip(heard, told, strict=True), key=lambda p: p[0])]
            value = torch.cat([own, *told], dim=1)
        target[f"{head}.{kind}.{names}.{rest}"].copy_(value)
    x = features(flow, samples=2)
    shuffled = torch.empty_like(x)
    shuffled[:, labels] = x
    z, log_det = flow(x)
    z_renamed, log_det_renamed = renamed(shuffled)
    torch.testing.assert_close(z_renamed[:, labels], z, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_det_renamed[:, labels], log_det, rtol=0, atol=1e-12)


def test_freias_own_loop_computes_the_same():
    flow = small_flow()
    x = features(flow, samples=2)
    noise = flow.draw_noise(2, torch.Generator().manual_seed(0)).double()
    told = 20 * noise.unsqueeze(2).expand(-1, -1, 3, -1, -1)
    z, log_det = flow.inn((x + noise.unsqueeze(1)).transpose(1, 2), c=[told])
    assert torch.equal(flow(x, noise)[0], z.transpose(1, 2))
    assert torch.equal(flow(x, noise)[1], log_det)


def test_what_a_view_hears_reaches_its_latents_and_nothing_else_does():
    """In a chain of one block, view 2 hears view 1 directly, view 0 only through view 1's half."""
    flow = small_flow(ViewGraph(((), (0,), (1,))), blocks=1, kernel_sizes=[3])
    x = features(flow)
    changed = x.clone()
    changed[:, 2] += 1
    moved = (flow(changed)[0] - flow(x)[0]).abs().amax((0, 2, 3, 4))
    assert (moved > 0).tolist() == [False, False, True]
    changed = x.clone()
    changed[:, 0] += 1
    moved = (flow(changed)[0] - flow(x)[0]).abs().amax((0, 2, 3, 4))
    assert (moved > 0).all()


def test_silencing_one_message_changes_only_what_its_receiver_computes():
    flow = small_flow(GRAPHS["complete"], blocks=1, kernel_sizes=[3])
    net = flow.inn[1].net2
    x = features(flow, samples=2)
    seen = torch.cat([x[:, :, 1:], torch.zeros_like(x[:, :, :1])], 2)
    before = net(seen)
    silent = copy.deepcopy(net)
    with torch.no_grad():
        silent.decode[1].weight[:, 3:6] = 0  # the first three maps are its own, then view 0's
    changed = (silent(seen) - before).abs().amax((0, 2, 3, 4)) > 0
    assert changed.tolist() == [False, True, False]


def test_noise_is_added_to_the_features_and_told_to_the_networks(monkeypatch):
    flow = small_flow()
    x = features(flow, samples=2)
    noise = flow.draw_noise(2, torch.Generator().manual_seed(3)).double()
    untold = flow(x + noise.unsqueeze(1))[0]
    told = flow(x, noise)[0]
    assert not torch.allclose(told, untold)
    monkeypatch.setattr("mfkit.flow.multiflow.NOISE_SCALE", 0.0)
    assert torch.equal(flow(x, noise)[0], untold)


@pytest.mark.parametrize(("kind", "std"), [("simplenet", 0.15), ("softflow", 0.447), ("none", 0)])
def test_spread_of_the_noise_kinds(kind, std):
    """softflow: E[c^4] = 1/5 for c ~ U(0, 1), so the standard deviation is 0.447."""
    flow = MultiFlow(4, 8, 8, blocks=1, hidden=2, noise=kind)
    noise = flow.draw_noise(4000, torch.Generator().manual_seed(0))
    assert noise.shape == (4000, 1, 8, 8)
    assert noise.std().item() == pytest.approx(std, rel=0.03)


def test_uniform_noise_lies_between_0_and_1():
    flow = MultiFlow(4, 8, 8, blocks=1, hidden=2, noise="uniform")
    noise = flow.draw_noise(100, torch.Generator().manual_seed(0))
    assert 0 <= noise.min() < 0.01 and 0.99 < noise.max() <= 1


def test_noise_is_drawn_in_training_and_zero_in_evaluation():
    flow = small_flow()
    x = features(flow)
    assert torch.equal(flow(x)[0], flow(x)[0])
    flow.train()
    assert not torch.equal(flow(x)[0], flow(x)[0])


def test_samples_have_the_density_that_log_prob_states():
    """The mean of log p over the flow's own samples is minus its entropy: E[-log q(z)] - E[ld]."""
    flow = small_flow()
    x = flow.sample(500, generator=torch.Generator().manual_seed(0))
    assert x.shape == (500, *flow.shape)
    z, _ = flow(x)
    assert z.std().item() == pytest.approx(1, rel=0.02)
    cold = flow.sample(500, temperature=0.1, generator=torch.Generator().manual_seed(0))
    assert flow(cold)[0].std().item() == pytest.approx(0.1, rel=0.02)


def test_trace_ends_in_the_latents():
    flow = small_flow()
    x = features(flow, samples=2)
    steps = flow.trace(x)
    assert [step.shape for step in steps] == [x.shape] * 2
    assert torch.equal(steps[-1], flow(x)[0])
    assert not torch.equal(steps[0], steps[1])


@pytest.mark.parametrize("graph", ANY_GRAPH)
def test_a_configuration_builds_the_same_flow_again(graph):
    flow = small_flow(ANY_GRAPH[graph])
    again = MultiFlow.from_config(flow.config).double().eval()
    again.load_state_dict(flow.state_dict())
    x = features(flow)
    assert torch.equal(again(x)[0], flow(x)[0])


def test_a_flow_can_be_copied_and_saved_after_use(tmp_path):
    flow = small_flow()
    x = features(flow)
    z, _ = flow(x)
    torch.save(copy.deepcopy(flow).state_dict(), tmp_path / "flow.pt")
    again = small_flow(seed=7)
    again.load_state_dict(torch.load(tmp_path / "flow.pt", weights_only=True))
    assert torch.equal(again(x)[0], z)


def test_permutations_differ_between_views_and_leave_the_random_state_alone():
    np.random.seed(0)
    torch.manual_seed(0)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    permutation = ViewPermutation([(32, 5, 2, 2)], seed=0).permutation
    assert np.array_equal(states[0], np.random.get_state()[1])
    assert torch.equal(states[1], torch.get_rng_state())
    assert len({tuple(row.tolist()) for row in permutation}) == 5
    assert torch.equal(permutation.sort(1).values, torch.arange(32).expand(5, 32))


def test_modules_of_freia_are_refused():
    flow = small_flow()
    flow.inn.append(Fm.ActNorm)
    with pytest.raises(TypeError, match=r"ActNorm does not derive from .*MapModule"):
        flow(features(flow))


class LeakyCoupling(CrossViewCoupling):
    """Takes its scale and shift from the half that it moves: not invertible, not triangular."""

    def _move(self, moved, net, seen, c, rev):
        return super()._move(moved, net, moved, c, rev)


class SummedCoupling(CrossViewCoupling):
    """Averages its log-determinant over the views: the sum is right, the map is not."""

    def forward(self, x_or_z, c=None, rev=False, jac=True):
        z, log_det = super().forward(x_or_z, c, rev, jac)
        return z, log_det.mean(1, keepdim=True).expand_as(log_det)


def broken(cls) -> MultiFlow:
    flow = small_flow(channels=4, kernel_sizes=[1, 1], graph=GRAPHS["empty"])
    for module in flow.inn:
        if isinstance(module, CrossViewCoupling):
            module.__class__ = cls
    return flow


def test_negative_control_a_leaky_coupling_fails_inverse_and_log_determinant():
    flow = broken(LeakyCoupling)
    x = features(flow)
    assert (flow.inverse(flow(x)[0]) - x).abs().max() > 1e-3
    matrix = jacobian(lambda x: flow(x)[0], x).reshape(x.numel(), x.numel())
    error = (flow(x)[1].sum() - torch.linalg.slogdet(matrix).logabsdet).abs()
    assert error > 1e-3


def test_negative_control_a_wrong_map_with_the_right_sum_is_found():
    good, flow = broken(CrossViewCoupling), broken(SummedCoupling)
    x = features(flow)
    torch.testing.assert_close(flow(x)[1].sum(), good(x)[1].sum())
    matrix = jacobian(lambda x: flow(x)[0], x)[0, :, :, :, :, 0]
    expected = torch.linalg.slogdet(matrix[0, :, 0, 0, 0, :, 0, 0]).logabsdet
    assert (flow(x)[1][0, 0, 0, 0] - expected).abs() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "pink"}, "'noise' should be one of simplenet, softflow, uniform, none"),
        ({"message": "mail"}, "'message' should be one of conv, cross_attention, self_attention"),
        ({"kernel_sizes": [3]}, "one size for each of 2 blocks"),
        ({"kernel_sizes": [3, 4]}, "'kernel_size' should be odd and positive, got 4"),
        ({"kernel_sizes": [-1, 3]}, "'kernel_size' should be odd and positive, got -1"),
        ({"clamp": 0}, "'clamp' should be positive, got 0"),
        ({"channels": 1}, "'channels' should be at least 2"),
        ({"blocks": 0, "kernel_sizes": None}, "'blocks' should be at least 1, got 0"),
        ({"hidden": 0}, "'hidden' should be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        small_flow(**options)


def test_bad_shapes_are_named():
    flow = small_flow()
    x = features(flow)
    with pytest.raises(
        ValueError, match=r"'x' should be .*\(B, 3, 3, 2, 2\), got \(1, 2, 3, 2, 2\)"
    ):
        flow(x[:, :2])
    for call in (flow.train(), flow.inverse, flow.trace, flow.log_prob):
        with pytest.raises(ValueError, match=r"'x' should be .*, got \(3, 3, 2, 2\)"):
            call(x[0])
    with pytest.raises(ValueError, match=r"'noise' should be \(1, 1, 2, 2\)"):
        flow(x, torch.zeros(2, 1, 2, 2))


def test_printing_a_flow_explains_it():
    text = repr(small_flow())
    assert "V=3, C=3, H=2, W=2, blocks=2, noise='simplenet'" in text
    assert "ViewGraph(0: 1 2 | 1: 0 2 | 2: 0 1, weight=mean)" in text
