"""Published results on Real-IAD, each with its rule and source."""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True)
class Published:
    """Means over the 30 categories and five views of Real-IAD, in percent; None: not given.

    Attributes:
        method: its name and year.
        models: "one a category", or "one for all" 30.
        s_auroc, i_auroc, p_auroc, p_aupro: of samples, images and pixels.
        rule: how five image scores become a sample's: "max", "mean", or "not stated".
        source: where the figures stand, as far as it is known.
    """

    method: str
    models: str
    s_auroc: float | None
    i_auroc: float | None
    p_auroc: float | None
    p_aupro: float | None
    rule: str
    source: str


EACH, ALL = "one a category", "one for all"
PUBLISHED = [
    Published("IDIF (2025)", EACH, 97.0, None, 98.9, None, "not stated", "AAAI 2025"),
    Published("Multi-Flow (2025)", EACH, 95.85, 90.27, 96.47, 87.91, "mean", "as given by MATCH"),
    Published("MATCH (2026)", EACH, 95.63, 91.17, 99.24, 94.76, "max", "ECCV 2026"),
    Published("Dinomaly (2025)", EACH, None, 92.0, None, 95.1, "-", "CVPR 2025"),
    Published("RD4AD", EACH, 93.46, 89.26, 98.81, 92.70, "not stated", "as given by MATCH"),
    Published("FastFlow", EACH, 92.30, 79.26, 90.18, 66.99, "not stated", "as given by MATCH"),
    Published("GeoMAD (2026)", ALL, 91.8, 87.5, 97.8, 92.2, "not stated", "its paper"),
    Published("MVAD (2025)", ALL, 90.2, 86.6, 97.9, 91.2, "not stated", "its paper"),
    Published("MVMCAD (2025)", ALL, None, 91.0, 99.1, 95.2, "-", "its paper"),
]
