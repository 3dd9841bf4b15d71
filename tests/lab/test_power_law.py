"""Exponents come back as they went in, and their uncertainty is that of textbooks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cynosure.lab.learning_curve import Estimate, fit

FRAMES = np.array([10, 20, 40, 80, 160])


def power_laws(exponents, prefactors):
    return np.array([a * FRAMES**-b for a, b in zip(prefactors, exponents, strict=True)])


def test_a_power_law_is_recovered_exactly():
    exponents, prefactors = (0.3, 0.5, 0.43), (0.9, 1.7, 0.2)
    law = fit(FRAMES, power_laws(exponents, prefactors))
    assert law.exponent.values == pytest.approx(exponents, rel=1e-12)
    assert np.exp(law.log_prefactor.values) == pytest.approx(prefactors, rel=1e-12)
    assert law.misfit < 1e-12
    assert law.exponent.mean == pytest.approx(0.41, rel=1e-12)
    assert law.exponent.standard_error == pytest.approx(stats.sem(exponents), rel=1e-12)
    middle = math.exp(np.log(prefactors).mean()) * 50**-0.41
    assert law(50) == pytest.approx(middle, rel=1e-12)


def test_the_mean_exponent_is_that_of_all_points_together():
    rng = np.random.default_rng(0)
    errors = power_laws((0.3, 0.4, 0.5), (1.0, 1.0, 2.0)) * np.exp(0.1 * rng.normal(size=(3, 5)))
    law = fit(FRAMES, errors)
    slope, intercept = np.polyfit(np.tile(np.log(FRAMES), 3), np.log(errors).ravel(), 1)
    assert law.exponent.mean == pytest.approx(-slope, rel=1e-12)
    assert law.log_prefactor.mean == pytest.approx(intercept, rel=1e-12)


def test_misfit_is_the_distance_from_the_line_whatever_the_seeds_scatter():
    # Up and down by 3 % with no slope of its own: the pattern is orthogonal to 1 and to ln N.
    pattern = 0.03 * np.array([1, -1, 0, -1, 1]) * math.sqrt(5 / 4)
    errors = power_laws((0.3, 0.3), (1.0, 5.0)) * np.exp(pattern)
    law = fit(FRAMES, errors)
    assert law.exponent.mean == pytest.approx(0.3, rel=1e-12)
    assert law.misfit == pytest.approx(0.03, rel=1e-12)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 30])
def test_the_interval_is_students(seeds):
    values = np.random.default_rng(seeds).normal(size=seeds)
    estimate = Estimate(tuple(values))
    exact = stats.t.ppf(0.975, seeds - 1) * stats.sem(values)
    if seeds <= 10:
        assert estimate.half_width == pytest.approx(exact, rel=1e-3)
    else:
        assert exact < estimate.half_width < 1.15 * exact


@pytest.mark.parametrize(
    ("values", "sign"),
    [
        ((0.1, 0.11, 0.12), "larger"),
        ((-0.1, -0.11, -0.12), "smaller"),
        ((0.1, -0.05, 0.12), "not told apart"),
        ((0.1, 0.12), "not told apart"),  # two seeds have one degree of freedom, and 12.7 standard errors
        ((0.1,), "unknown"),
    ],
)
def test_a_sign_is_only_claimed_outside_the_interval(values, sign):
    assert Estimate(values).sign() == sign


def test_what_two_networks_have_in_common_drops_out_of_their_difference():
    by_seed = np.array([0.2, 0.5, 0.9])
    difference = Estimate(tuple(by_seed + 0.1)) - Estimate(tuple(by_seed))
    assert difference.mean == pytest.approx(0.1)
    assert difference.standard_error == pytest.approx(0.0, abs=1e-12)


def test_one_seed_has_no_uncertainty():
    assert math.isnan(Estimate((0.3,)).standard_error)
    assert math.isnan(Estimate((0.3,)).half_width)


@pytest.mark.parametrize(
    ("frames", "errors", "message"),
    [
        ([10, 10], [[1.0, 2.0]], "two different numbers of frames"),
        ([10, 20], [[1.0, 0.0]], "positive and finite"),
        ([10, 20], [[1.0, math.nan]], "positive and finite"),
        ([0, 20], [[1.0, 2.0]], "positive and finite"),
        ([10, 20], [1.0, 2.0], r"\(seeds, 2\) and \(2,\) were expected"),
        ([10, 20, 40], [[1.0, 2.0]], r"\(seeds, 3\)"),
    ],
)
def test_bad_numbers_are_refused(frames, errors, message):
    with pytest.raises(ValueError, match=message):
        fit(frames, errors)
