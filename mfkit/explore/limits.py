"""Where axes and colours end: the same for all samples and changes, so that one can compare."""

import numpy as np

__all__ = ["colour_limits", "rule_limits"]


def colour_limits(latents) -> dict[str, tuple[float, float]]:
    """Ends of maps and plots, from the samples as the last flow sees them.

    Returns:
        "half", "log_det", "nll" (half of the positions stay dark), "scores" and "change" in nats
        per channel, "agreement" in its own units, "density"; those of differences lie evenly
        around 0.
    """
    shown = latents.whole[latents.last]
    half, log_det = (np.stack([getattr(a, part) for a in shown]) for part in ("half", "log_det"))
    images = np.concatenate([a.images for seen in latents.whole.values() for a in seen])
    low, high = np.nanmin(images), np.nanmax(images)
    margin = 0.05 * max(high - low, 0.1)
    agreed = [agreement.maps for seen in latents.agreed.values() for agreement in seen or ()]
    return {
        "half": tuple(np.quantile(half, [0.02, 0.9995])),
        "log_det": tuple(np.quantile(-log_det, [0.02, 0.9995])),
        "nll": tuple(np.quantile(half - log_det, [0.5, 0.9995])),
        "scores": (float(low - margin), float(high + margin)),
        "density": (0.0, 1.05 * max(answer.density.max() for answer in shown)),
        "change": _even(0.25 * float(np.subtract(*np.quantile(half - log_det, [0.999, 0.001])))),
        "agreement": _even(float(np.nanquantile(np.abs(agreed), 0.995)) if agreed else 1.0),
    }


def rule_limits(latents, rule: str) -> tuple[float, float]:
    """Ends of an axis on which image scores of one rule can be seen to move.

    They come from sound samples: the lowest of them, and as far above the highest as that lies
    above the lowest. What lies beyond is drawn at the end.
    """
    labels = latents.labels
    sound = ~labels if not labels.all() else labels
    found = [ranked[rule][0][sound] for ranked in latents.ranked.values() if rule in ranked]
    if not found:
        return -1.0, 1.0
    low, high = float(np.nanmin(found)), float(np.nanmax(found))
    span = max(high - low, 0.05)
    return low - 0.1 * span, high + span


def _even(end: float) -> tuple[float, float]:
    end = max(abs(end), 0.01)
    return -end, end
