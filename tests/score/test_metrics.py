"""Metrics agree with scikit-learn, with the official tool and with a calculation by hand."""

import importlib
import tracemalloc

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn import metrics as sk

from mfkit.score import FPR_LIMIT, PixelMetrics, auroc
from mfkit.score.metrics import _bins

# Two maps. Sound: 7 5 3 1 0. Large region: 8 6 5 2 (6 and 5 touch by a corner), small region: 9.
HAND = [
    (np.array([[8, 6, 7, 5], [3, 1, 5, 2]], float), np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)),
    (np.array([[9, 0]], float), np.array([[1, 0]], bool)),
]


def maps(seed, count=6, size=64, levels=None):
    """Random smooth maps (count, size, size) with up to three touching or separate regions."""
    rng = np.random.default_rng(seed)
    scores = ndimage.gaussian_filter(rng.standard_normal((count, size, size)), (0, 3, 3)) * 8
    masks = np.zeros(scores.shape, bool)
    for mask in masks[: count - 2]:  # the last two are sound
        for _ in range(rng.integers(1, 4)):
            top, left = rng.integers(0, size - 4, 2)
            height, width = rng.integers(1, size // 3, 2)
            mask[top : top + height, left : left + width] = True
    scores += 0.7 * masks
    if levels:
        scores = np.round((scores - scores.min()) / np.ptp(scores) * (levels - 1))
    return scores.astype(np.float32), masks


def result(*pairs, bits=22):
    metrics = PixelMetrics(bits)
    for scores, masks in pairs:
        metrics.update(scores, masks)
    return metrics.compute()


def region_weights(masks, structure=None):
    """Weight 1 / area for every defective pixel, map by map and region by region."""
    weights = np.zeros(masks.shape)
    for mask, weight in zip(masks, weights, strict=True):
        regions, count = ndimage.label(mask, np.ones((3, 3)) if structure is None else structure)
        for region in range(1, count + 1):
            weight[regions == region] = 1 / (regions == region).sum()
    return weights


def area_to_limit(scores, masks, weights):
    """AUPRO without bins; the weights decide what recall is averaged over."""
    weights = np.where(masks, weights, 1).ravel()
    fpr, recall, _ = sk.roc_curve(
        masks.ravel(), scores.ravel(), sample_weight=weights, drop_intermediate=False
    )
    inside = fpr <= FPR_LIMIT
    x = np.append(fpr[inside], FPR_LIMIT)
    y = np.append(recall[inside], np.interp(FPR_LIMIT, fpr, recall))
    return np.trapezoid(y, x) / FPR_LIMIT


def error_bound(histograms):
    """The bounds that PixelMetrics states, from its histograms.

    A curve crosses the rectangle of a bin (its sound by its defective share) on the diagonal
    instead of on an unknown monotone path: at most half of the rectangle is wrong. The precision at
    a defective pixel lies between those with all sound pixels of its bin before it and with none.
    """
    sound, defective, regions = histograms[:, ::-1]
    fp, tp = np.cumsum(sound), np.cumsum(defective)
    used = defective > 0
    precision = (tp / (tp + fp).clip(1))[used]
    highest = tp[used] / (tp + fp - sound)[used]
    lowest = (tp - defective + 1)[used] / (tp - defective + 1 + fp)[used]
    worst = np.maximum(highest - precision, precision - lowest)
    return {
        "p_auroc": sound @ defective / fp[-1] / tp[-1] / 2,
        "p_ap": worst @ defective[used] / tp[-1],
        "p_aupro": sound @ regions / fp[-1] / regions.sum() / 2 / FPR_LIMIT,
    }


def exact(scores, masks):
    return {
        "p_auroc": sk.roc_auc_score(masks.ravel(), scores.ravel()),
        "p_ap": sk.average_precision_score(masks.ravel(), scores.ravel()),
        "p_aupro": area_to_limit(scores, masks, region_weights(masks)),
    }


@pytest.fixture
def adeval(monkeypatch):
    """The official tool 1.1.0. It calls numpy.trapz, which NumPy 2.4 no longer has."""
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    for name in ("au_pro", "metrics"):
        importlib.import_module(f"adeval.{name}")
    return importlib.import_module("adeval")


def official(adeval, pairs, low, high, strips, images=((0, 0), (1, 1))):
    """All metrics by the official tool's accumulator, bins of equal width from low to high."""
    tool = adeval.EvalAccumulator(float(low), float(high), nstrips=strips)
    for scores, mask in pairs:
        tool.add_anomap(scores.astype(np.float32), mask.astype(np.uint8))
    tool.add_image(*images)
    tool.add_sample(*images)
    with np.errstate(invalid="ignore"):  # it divides 0 by 0 where nothing is found, then mends that
        return tool.summary()


# ---------------------------------------------------------------- AUROC of samples and images


@pytest.mark.parametrize("decimals", [12, 1], ids=["distinct", "ties"])
def test_auroc_is_scikit_learns(decimals):
    rng = np.random.default_rng(0)
    labels = rng.random((40, 5)) < 0.3
    scores = (rng.standard_normal((40, 5)) + labels).round(decimals)
    expected = pytest.approx(sk.roc_auc_score(labels.ravel(), scores.ravel()), rel=1e-9)
    assert auroc(labels, scores) == expected
    assert auroc(torch.tensor(labels).long(), torch.tensor(scores, requires_grad=True)) == expected


def test_auroc_is_the_official_tools(adeval):
    """Scores on 50 levels, one in each of its bins, leave no binning error."""
    rng = np.random.default_rng(1)
    labels = rng.random(200) < 0.4
    scores = rng.integers(0, 50, 200) // (2 - labels)
    tool = official(adeval, HAND, -0.5, 49.5, 50, (scores, labels))
    assert auroc(labels, scores) == pytest.approx(tool["i_auroc"], abs=1e-6)
    assert auroc(labels, scores) == pytest.approx(tool["s_auroc"], abs=1e-6)
    reference = adeval.metrics.compute_imagewise_retrieval_metrics(scores, labels)
    assert auroc(labels, scores) == pytest.approx(reference["auroc"], rel=1e-9)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0], [1.0, 2.0], r"'labels' should hold both .* got 2 of class \[0\]"),
        ([], [], "'labels' should hold both"),
        ([0, 255], [1.0, 2.0], r"'labels' should be 0 \(sound\) or 1 \(defective\), got \[0, 255"),
        ([0, 1], [1.0, np.nan], r"'scores' should be finite, got 1 NaN and 0 infinite .*\(1,\)"),
        ([0, 1], [-np.inf, 1.0], r"'scores' should be finite, got 0 NaN and 1 infinite"),
        ([0, 1], [1.0, 2.0, 3.0], r"shaped like 'labels', got \(3,\) and \(2,\)"),
    ],
)
def test_auroc_errors_name_argument_and_mend(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        auroc(labels, scores)


# ---------------------------------------------------------------- pixels, by hand


def test_pixel_metrics_by_hand():
    """Descending: 9 S, 8 L, 7 sound, 6 L, 5 L and sound, 3 sound, 2 L, 1 sound, 0 sound.

    AUROC: sound pixels below 9 8 6 5 2 are 5 5 4 3.5 2, together 19.5 of 25 pairs.
    AP: precision at them is 1/1, 2/2, 3/4, 4/6, 5/8; their mean is 97/120.
    AUPRO: half of the mean over regions is S, each pixel of L adds 1/8. Up to rate 1/5: 5/8. Then 6
    lifts it to 6/8, and the tie leads from (1/5, 6/8) straight to (2/5, 7/8), which is 13/16 at
    3/10. Area: 1/5 * 5/8 + 1/10 * (12/16 + 13/16) / 2 = 13/64, over 3/10 is 65/96.
    """
    expected = {"p_auroc": 19.5 / 25, "p_ap": 97 / 120, "p_aupro": 65 / 96}
    assert result(*HAND) == pytest.approx(expected, abs=1e-12)


def test_pixel_metrics_by_hand_is_the_official_tools(adeval):
    tool = official(adeval, HAND, -0.5, 9.5, 10)
    assert tool["p_aupro"] == pytest.approx(65 / 96, abs=1e-6)
    assert tool["p_auroc"] == pytest.approx(19.5 / 25, abs=1e-6)


def test_regions_count_the_same_whatever_their_size():
    """Negative control: recall over pixels, or regions cut at corners, gives other numbers."""
    scores, masks = maps(2)
    masks[0] = False
    masks[0, 10:40, 10:40] = masks[0, 50:52, 50:52] = True  # 900 and 4 pixels
    scores[0] += masks[0]
    masks[1, 10, 10] = masks[1, 11, 11] = True  # touch by a corner
    ours = result((scores, masks))["p_aupro"]
    assert ours == pytest.approx(area_to_limit(scores, masks, region_weights(masks)), abs=1e-4)
    over_pixels = area_to_limit(scores, masks, np.ones(masks.shape))
    cut = area_to_limit(
        scores, masks, region_weights(masks, ndimage.generate_binary_structure(2, 1))
    )
    assert abs(ours - over_pixels) > 1e-2
    assert abs(ours - cut) > 1e-3
    # by hand: over pixels 2/5 up to rate 1/5, then from 3/5 to 7/10 at 3/10: (0.08 + 0.065) / 0.3
    flat = [np.concatenate([values.ravel() for values in pair]) for pair in zip(*HAND, strict=True)]
    assert area_to_limit(*flat, np.ones(10)) == pytest.approx(0.145 / 0.3)


# ---------------------------------------------------------------- pixels, without binning error


def one_score_per_bin(count, seed):
    """Different float32, each alone in its bin of 22 bits: 13 bits of mantissa."""
    mantissa = 1 + np.arange(8192) / 8192
    values = np.concatenate([mantissa * 2.0**power for power in range(-4, 4)])
    return np.random.default_rng(seed).choice(np.concatenate([values, -values]), count, False)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scikit_learn_on_distinct_bins(seed):
    _, masks = maps(seed)
    scores = np.sort(one_score_per_bin(masks.size, seed)).reshape(masks.shape)
    order = np.random.default_rng(seed).normal(masks.ravel().astype(float)).argsort().argsort()
    scores = scores.ravel()[order].reshape(masks.shape)
    assert len(np.unique(_bins(scores.astype(np.float32), 22))) == masks.size
    assert result((scores, masks)) == pytest.approx(exact(scores, masks), abs=1e-9)


@pytest.mark.parametrize("levels", [2, 7, 100])
def test_equal_to_scikit_learn_on_ties(levels):
    scores, masks = maps(levels, levels=levels)
    assert result((scores, masks)) == pytest.approx(exact(scores, masks), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_official_tool_on_distinct_bins(seed, adeval):
    """200 levels, one in each of its bins: only its float32 weights 1 / area are left, 1e-7.

    Its AP joins the points of the precision-recall curve by straight lines, which scikit-learn and
    the tool's own reference implementation do not: held against both here.
    """
    scores, masks = maps(seed, levels=200)
    ours = result((scores, masks))
    tool = official(adeval, zip(scores, masks, strict=True), -0.5, 199.5, 200)
    assert ours["p_auroc"] == pytest.approx(tool["p_auroc"], abs=1e-6)
    assert ours["p_aupro"] == pytest.approx(tool["p_aupro"], abs=1e-6)
    precision, recall, _ = sk.precision_recall_curve(masks.ravel(), scores.ravel())
    assert sk.auc(recall, precision) == pytest.approx(tool["p_aupr"], abs=1e-6)
    reference = adeval.metrics.compute_pixelwise_retrieval_metrics(scores, masks)
    assert ours["p_ap"] == pytest.approx(reference["ap"], abs=1e-6)
    assert ours["p_auroc"] == pytest.approx(reference["auroc"], abs=1e-6)


# ---------------------------------------------------------------- pixels, with binning


def test_bins_ascend_with_the_scores_and_are_as_narrow_as_stated():
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    edges = np.array([0, 1e-45, 1e-38, 3.4028235e38, 1, 1.0001], np.float32)
    scores = np.concatenate([bits.view(np.float32), edges, -edges])
    scores = np.sort(scores[np.isfinite(scores)])
    for size in (10, 22, 28):
        bins = _bins(scores, size)
        assert bins.min() >= 0 and bins.max() < 2**size
        assert (np.diff(bins) >= 0).all()
        normal = np.abs(scores) > 1.2e-38
        low, high = scores[:-1][normal[:-1]], scores[1:][normal[:-1]]
        together = _bins(low, size) == _bins(high, size)
        width = np.abs(high.astype(float) - low)[together]
        assert (width <= 2.0 ** (9 - size) * np.abs(low.astype(float))[together]).all()


def test_negative_zero_is_zero():
    """A masked map holds both: 0 times a negative score is -0.0."""
    masks = np.array([[True, False]])
    for scores in ([[0.0, -0.0]], [[-0.0, 0.0]]):
        assert result((scores, masks))["p_auroc"] == 0.5


@pytest.mark.parametrize("bits", [10, 14, 18, 22])
@pytest.mark.parametrize("seed", range(3))
def test_the_binning_error_stays_within_the_stated_bound(bits, seed):
    scores, masks = maps(seed)
    metrics = PixelMetrics(bits)
    metrics.update(scores, masks)
    bound, truth = error_bound(metrics.histograms), exact(scores, masks)
    off = {name: abs(value - truth[name]) for name, value in metrics.compute().items()}
    for name in truth:
        assert off[name] <= bound[name] + 1e-12, name
    if bits == 10:
        assert min(off.values()) > 1e-5  # the bound was put to a test
    if bits == 22:
        assert max(off.values()) < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_aupro_agrees_with_the_official_reference_implementation(seed, adeval):
    """It joins one point for each sound pixel by straight lines, where ours climbs in steps.

    For N sound pixels the two areas differ by at most 1 / 2N, over the limit.
    """
    scores, masks = maps(seed)
    sound = int((~masks).sum())
    theirs, _ = adeval.au_pro.calculate_au_pro(list(masks), list(scores), FPR_LIMIT, sound)
    metrics = PixelMetrics()
    metrics.update(scores, masks)
    tolerance = 0.5 / sound / FPR_LIMIT + error_bound(metrics.histograms)["p_aupro"]
    assert tolerance < 5e-4
    assert metrics.compute()["p_aupro"] == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize("seed", range(3))
def test_continuous_scores_agree_with_the_official_tool(seed, adeval):
    """Within the bound of its 1000 bins and ours, both computed from histograms."""
    scores, masks = maps(seed)
    low, high = scores.min() - 0.01, scores.max() + 0.01
    tool = official(adeval, zip(scores, masks, strict=True), low, high, 1000)
    metrics = PixelMetrics()
    metrics.update(scores, masks)
    edges = np.linspace(low, high, 1001)
    pairs = [(~masks, None), (masks, None), (masks, region_weights(masks))]
    theirs = error_bound(
        np.stack(
            [
                np.histogram(scores[m], edges, weights=None if w is None else w[m])[0]
                for m, w in pairs
            ]
        ).astype(float)
    )
    ours, bound = metrics.compute(), error_bound(metrics.histograms)
    for name, key in [("p_auroc", "p_auroc"), ("p_aupro", "p_aupro"), ("p_ap", "p_aupr")]:
        tolerance = theirs[name] + bound[name]
        assert ours[name] == pytest.approx(tool[key], abs=tolerance), name
        assert tolerance < 0.02, name


# ---------------------------------------------------------------- streaming


def test_updates_add_up_in_any_order_and_grouping():
    scores, masks = maps(4, count=20)
    at_once = result((scores.reshape(4, 5, 64, 64), masks.reshape(4, 5, 64, 64)))
    pairs = list(zip(scores, masks, strict=True))
    assert result(*pairs) == pytest.approx(at_once, abs=1e-12)
    np.random.default_rng(0).shuffle(pairs)
    assert result(*pairs) == pytest.approx(at_once, abs=1e-12)
    halves = [PixelMetrics(), PixelMetrics()]
    for index, pair in enumerate(pairs):
        halves[index % 2].update(*pair)
    halves[0].histograms += halves[1].histograms
    assert halves[0].compute() == pytest.approx(at_once, abs=1e-12)


def test_memory_does_not_grow_with_the_number_of_maps():
    scores, masks = maps(5)
    metrics = PixelMetrics()

    def size():
        assert sorted(vars(metrics)) == ["bits", "histograms"]
        return metrics.histograms.nbytes

    before = size()
    metrics.update(scores, masks)
    tracemalloc.start()
    try:
        held = []
        for _ in range(40):
            metrics.update(scores, masks)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert size() == before == 24 * 2**22
    assert max(held[20:]) - max(held[:20]) < 10_000
    assert metrics.histograms[:2].sum() == 41 * scores.size


# ---------------------------------------------------------------- what goes in


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_and_layouts(dtype):
    scores, masks = maps(7)
    scores = torch.tensor(scores).to(dtype)
    expected = exact(scores.double().numpy(), masks)
    ours = result((scores.clone().requires_grad_(), torch.tensor(masks)))
    assert ours == pytest.approx(expected, abs=1e-4)
    array = scores.float().numpy()[:, ::-1]  # negative strides, read-only
    array.flags.writeable = False
    assert result((array, masks[:, ::-1])) == ours
    assert result((array.swapaxes(1, 2), masks[:, ::-1].swapaxes(1, 2))) == pytest.approx(ours)


def test_sound_maps_only_add_sound_pixels():
    scores, masks = maps(8)
    sound = np.zeros((3, 64, 64), bool)
    more = scores[:3] - 1
    every = np.concatenate([scores, more]), np.concatenate([masks, sound])
    ours = result((more, sound), (scores, masks), (scores[:0], masks[:0]))
    assert ours == pytest.approx(exact(*every), abs=1e-4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "got 1 NaN and 0 infinite of 24, the first at .1, 2, 3."),
        (-np.inf, "got 0 NaN and 1 infinite"),
        (1e39, "got 0 NaN and 1 infinite"),  # beyond float32
    ],
)
def test_scores_that_are_not_finite_are_refused_and_not_counted(value, message):
    metrics, scores = PixelMetrics(), np.zeros((2, 3, 4))
    scores[1, 2, 3] = value
    with pytest.raises(ValueError, match=f"'scores' should be finite, {message}"):
        metrics.update(scores, scores > 1)
    assert not metrics.histograms.any()


def test_errors_name_argument_and_mend():
    metrics, scores = PixelMetrics(10), np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match=r"'masks' should be bool \(image > 127\), got uint8"):
        metrics.update(scores, np.full(scores.shape, 255, np.uint8))
    with pytest.raises(ValueError, match=r"like 'masks', got \(2, 4, 4\) and \(2, 8, 8\)"):
        metrics.update(scores, np.zeros((2, 8, 8), bool))
    with pytest.raises(ValueError, match=r"'scores' should be \(\.\.\., H, W\), got .* \(4,\)"):
        metrics.update(scores[0, 0], scores[0, 0] > 0)
    with pytest.raises(ValueError, match="sound and defective pixels, got 0 and 0"):
        metrics.compute()
    metrics.update(scores, scores > 0)
    with pytest.raises(ValueError, match="sound and defective pixels, got 32 and 0; 'update'"):
        metrics.compute()
    with pytest.raises(ValueError, match="'bits' should lie between 10 and 28, got 9"):
        PixelMetrics(9)
