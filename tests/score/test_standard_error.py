"""The standard error of an AUROC against what drawing again and again gives."""

import numpy as np
import pytest

from mfkit.score import auroc, standard_error


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_the_error_is_that_of_new_draws(shift):
    """2,000 draws of 40 sound and 30 defective scores, both normal."""
    rng = np.random.default_rng(0)
    labels = np.repeat([False, True], [40, 30])
    areas = [auroc(labels, rng.standard_normal(70) + shift * labels) for _ in range(2000)]
    said = standard_error(float(np.mean(areas)), labels)
    assert said == pytest.approx(np.std(areas), rel=0.15)
    assert standard_error(float(np.mean(areas)), np.tile(labels, 4)) == pytest.approx(
        said / 2, rel=0.05
    )


@pytest.mark.parametrize(
    ("area", "labels", "named"), [(1.2, [0, 1], "'area'"), (0.5, [1, 1], "'labels'")]
)
def test_nonsense_is_named(area, labels, named):
    with pytest.raises(ValueError, match=named):
        standard_error(area, labels)
