"""How well scores find defects: AUROC of samples and images, AUROC, AP and AUPRO of pixels.

Real-IAD has more than 10^9 test pixels, too many to keep and sort. `PixelMetrics` counts them in
bins made from the float32 score itself: the bits of a float, read as an integer, sort like the
float. So no bounds have to be guessed, as they must be for bins of equal width.

Areas are taken over counts and divided once. Rates divided one by one need not ascend on a
processor that divides vectors less exactly than single numbers; scikit-learn raises on such rates.
"""

import numpy as np
import torch
from scipy import ndimage
from scipy.stats import rankdata

__all__ = ["FPR_LIMIT", "PixelMetrics", "auroc", "standard_error"]

FPR_LIMIT = 0.3
"""False-positive rate to which AUPRO integrates, as in the official tool of Real-IAD."""
# Neighbours above, below and at the corners touch (8-connected), maps of a stack do not.
TOUCHING = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])


def auroc(labels, scores) -> float:
    """Probability that a defective sample (or image) scores higher than a sound one.

    Arguments:
        labels: bool or 0 and 1, True is defective; (B,), (B, V) or any other shape.
        scores: any unit, larger is more anomalous; shaped like the labels.

    Returns:
        A number between 0 and 1; equal scores count one half.

    Raises:
        ValueError: shapes that differ, labels of one class only or other than 0 and 1, or scores
            that are not finite.

    Source: the statistic U of Mann and Whitney over the number of pairs.

    Example:
        >>> auroc(labels=[False, False, True, True], scores=[-1.0, 0.5, 0.0, 2.0])
        0.75
    """
    labels, scores = _array(labels), _array(scores)
    _check_scores(scores, labels, "labels")
    classes = np.unique(labels).tolist()
    if not set(classes) <= {0, 1}:
        raise ValueError(f"'labels' should be 0 (sound) or 1 (defective), got {classes[:5]}")
    if len(classes) < 2:
        raise ValueError(
            f"'labels' should hold both sound (0) and defective (1), got {labels.size} of class "
            f"{classes}; evaluate on a split that has both"
        )
    defective = labels.ravel().astype(bool)
    count = defective.sum()
    wins = rankdata(scores)[defective].sum() - count * (count + 1) / 2
    return float(wins / (count * (labels.size - count)))


def standard_error(area: float, labels) -> float:
    """How far an AUROC would lie from this one, typically, with other parts of the same kind.

    Arguments:
        area: the AUROC, between 0 and 1.
        labels: bool or 0 and 1, True is defective, any shape; independent of each other, so of
            samples, or of one view of each.

    Returns:
        the standard error, in the unit of the area; 0 where the area is 0 or 1, which no formula
        can believe: then say how many there are.

    Raises:
        ValueError: an area outside of 0 and 1, or labels of one class only.

    Source: Hanley and McNeil, Radiology 143 (1982).

    Example:
        >>> round(standard_error(0.8, [False] * 58 + [True] * 22), 3)
        0.061
    """
    defective = _array(labels).ravel().astype(bool)
    bad, good = int(defective.sum()), int((~defective).sum())
    if not 0 <= area <= 1:
        raise ValueError(f"'area' should be between 0 and 1, got {area}")
    if not bad or not good:
        raise ValueError(f"'labels' should hold both classes, got {bad} defective, {good} sound")
    two_bad, two_good = area / (2 - area), 2 * area**2 / (1 + area)  # two of a kind win together
    variance = (
        area * (1 - area) + (bad - 1) * (two_bad - area**2) + (good - 1) * (two_good - area**2)
    )
    return float((variance / (bad * good)) ** 0.5)


class PixelMetrics:
    """Pixel AUROC, AP and AUPRO of any number of maps, in memory that does not grow with them.

    Three histograms over the score count sound pixels, defective pixels and regions, each region
    spreading the weight 1 over its pixels. The mean over regions of the share found is linear, so
    the third histogram gives it for all thresholds at once.

    * AUROC: pixels of one bin are ties and count one half.
    * AP: `sum (recall_i - recall_{i-1}) precision_i`, no interpolation.
    * AUPRO: area under (false-positive rate, mean share of a region found) up to `FPR_LIMIT`, with
      linear interpolation there, divided by `FPR_LIMIT`. Defective pixels of one map that touch by
      edge or corner are one region; small and large regions count the same.

    A bin is the first `bits` bits of a float32 (sign, 8 of exponent, the rest of mantissa), at most
    `2 ** (9 - bits)` of the score wide. Scores in different bins keep their order, so only pairs in
    one bin can be misjudged. With n, d, r the shares of sound pixels, defective pixels and regions
    in a bin, AUROC errs by at most `sum n d / 2`, AUPRO by `sum n r / 2 / FPR_LIMIT`; in AP each
    defective pixel errs by at most what its precision can change inside its bin. The default takes
    100 MB, of which a system provides only the pages that hold scores; on maps like the flow's AP
    was 6e-5 off (2e-4 with 20 bits), AUPRO 6e-7. Scores that vary little around a large offset
    (1000.0 to 1000.1) share few bins: subtract the offset first.

    Arguments:
        bits: size of the binning, 10 to 28; memory is `24 * 2 ** bits` bytes.

    Attributes:
        histograms: (3, 2 ** bits), sound pixels, defective pixels, regions. Adding those of two
            accumulators merges them.

    Raises:
        ValueError: bits out of range.

    Source: AUPRO from Bergmann et al., IJCV 2021, and ADEval 1.1.0, the official tool of Real-IAD;
    AUROC and AP as in scikit-learn.

    Example:
        >>> metrics = PixelMetrics()
        >>> metrics.update([[0.1, 0.2, 0.9, 0.8]], [[False, False, True, True]])
        >>> metrics.update([[0.3, -0.4, 0.0, 0.5]], [[False, False, False, False]])
        >>> metrics.compute()
        {'p_auroc': 1.0, 'p_ap': 1.0, 'p_aupro': 1.0}
    """

    def __init__(self, bits: int = 22):
        if not 10 <= bits <= 28:
            raise ValueError(f"'bits' should lie between 10 and 28, got {bits}")
        self.bits = bits
        self.histograms = np.zeros((3, 2**bits))

    def update(self, scores, masks) -> None:
        """Count the pixels of some maps.

        Arguments:
            scores: (..., H, W) float array or tensor, for example (B, V, H, W); larger is more
                anomalous. Compared in float32.
            masks: (..., H, W) bool, True is defective. The official tool takes `image > 127`.

        Raises:
            ValueError: shapes that differ or have fewer than two axes, masks that are not bool, or
                scores that are not finite in float32; nothing is counted then.
        """
        with np.errstate(over="ignore"):  # becomes infinite, which the check reports
            scores = _array(scores).astype(np.float32)
        masks = _array(masks)
        if masks.dtype != bool:
            raise ValueError(f"'masks' should be bool (image > 127), got {masks.dtype}")
        _check_scores(scores, masks, "masks")
        if scores.ndim < 2:
            raise ValueError(f"'scores' should be (..., H, W), got the shape {scores.shape}")
        if scores.size == 0:
            return
        masks = masks.reshape(-1, *masks.shape[-2:])
        bins = _bins(scores, self.bits).reshape(masks.shape)
        sound, defective, regions = self.histograms
        np.add.at(sound, bins[~masks], 1.0)

        shows = masks.any((1, 2))
        if shows.any():
            bins, masks = bins[shows], masks[shows]
            bins, region = bins[masks], ndimage.label(masks, TOUCHING)[0][masks]
            np.add.at(defective, bins, 1.0)
            np.add.at(regions, bins, 1 / np.bincount(region)[region])

    def compute(self) -> dict[str, float]:
        """All three metrics of the pixels counted so far.

        Returns:
            {"p_auroc", "p_ap", "p_aupro"}, numbers between 0 and 1.

        Raises:
            ValueError: no sound or no defective pixel so far.
        """
        used = self.histograms.any(axis=0)
        found = np.cumsum(np.flip(self.histograms[:, used], axis=1), axis=1)  # highest score first
        sound, defective, regions = np.insert(found, 0, 0.0, axis=1)
        if not (sound[-1] and defective[-1]):
            raise ValueError(
                f"pixel metrics need sound and defective pixels, got {sound[-1]:.0f} and "
                f"{defective[-1]:.0f}; 'update' with the masks of defective images, too"
            )
        precision = defective[1:] / (defective + sound)[1:]
        limit = FPR_LIMIT * sound[-1]
        inside = sound <= limit
        sound_inside = np.append(sound[inside], limit)
        regions_inside = np.append(regions[inside], np.interp(limit, sound, regions))
        return {
            "p_auroc": float(np.trapezoid(defective, sound) / (defective[-1] * sound[-1])),
            "p_ap": float(np.diff(defective) @ precision / defective[-1]),
            "p_aupro": float(np.trapezoid(regions_inside, sound_inside) / (regions[-1] * limit)),
        }


def _array(values) -> np.ndarray:
    """NumPy array of an array, a list or a tensor on any device."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:  # unknown to NumPy
            values = values.float()
    return np.asarray(values)


def _check_scores(scores: np.ndarray, truth: np.ndarray, name: str) -> None:
    """Raise ValueError unless the scores are finite and shaped like the truth called name."""
    if scores.shape != truth.shape:
        raise ValueError(
            f"'scores' should be shaped like '{name}', got {scores.shape} and {truth.shape}"
        )
    finite = np.isfinite(scores)
    if not finite.all():
        first = tuple(np.argwhere(~finite)[0].tolist())
        raise ValueError(
            f"'scores' should be finite, got {np.isnan(scores).sum()} NaN and "
            f"{np.isinf(scores).sum()} infinite of {scores.size}, the first at {first}; "
            "check the training history and the input of that map"
        )


def _bins(scores: np.ndarray, bits: int) -> np.ndarray:
    """Number of the bin of each float32 score, ascending with the score: 0 to 2 ** bits - 1.

    The bits of positive floats ascend with them; those of negative ones descend and are flipped.
    """
    as_int = (scores + np.float32(0)).view(np.int32)  # -0.0 + 0.0 is 0.0: equal, so one bin
    ascending = as_int ^ ((as_int >> 31) | np.int32(-(2**31)))
    return (ascending.view(np.uint32) >> np.uint32(32 - bits)).astype(np.intp)
