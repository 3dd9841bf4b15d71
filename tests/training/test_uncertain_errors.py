"""The calibration factor is the one that errors were made with, and odd data do not make it absurd."""

import json
import math

import numpy as np
import pytest

from cynosure.training.metrics import DEFAULT_UNITS, ErrorStats, Metrics
from cynosure.training.plots import uncertainty
from cynosure.training.uncertain_errors import UncertainErrors


def drawn(factor, count=40_000, seed=0):
    """Errors from normal distributions whose standard deviations are `factor` times what is claimed."""
    rng = np.random.default_rng(seed)
    claimed = rng.lognormal(sigma=0.7, size=count)
    return UncertainErrors(factor * claimed * rng.normal(size=count), claimed)


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_a_known_factor_is_found(factor):
    found = drawn(factor)
    # The standard deviation of the estimate is 1 % for this distribution of uncertainties.
    assert found.factor() == pytest.approx(factor, rel=0.03)
    calibrated = found.scaled(found.factor())
    assert calibrated.ratio == pytest.approx(1.0, rel=1e-12)
    assert calibrated.within(1) == pytest.approx(0.6827, abs=0.01)
    assert calibrated.within(2) == pytest.approx(0.9545, abs=0.005)
    predicted, rmse = calibrated.bins()
    assert len(predicted) == 12
    assert np.all(np.diff(predicted) > 0)
    np.testing.assert_allclose(rmse, predicted, rtol=0.06)


@pytest.mark.parametrize("members", [2, 3, 8])
def test_it_is_found_from_the_spread_of_a_few_members(members):
    """The mean of (error / spread)² would have no limit for two and three of them."""
    rng = np.random.default_rng(0)
    true = rng.lognormal(sigma=0.5, size=40_000)
    spread = (true * rng.normal(size=(members, len(true)))).std(axis=0, ddof=1)
    found = UncertainErrors(2.5 * true * rng.normal(size=len(true)), spread)
    assert found.factor() == pytest.approx(2.5, rel=0.03)


def test_members_that_agree_by_chance_do_not_decide():
    good = drawn(2.0)
    odd = UncertainErrors(np.append(good.errors, 1.0), np.append(good.uncertainties, 0.0))
    assert odd.factor() == pytest.approx(good.factor(), rel=1e-4)
    assert odd.within(1) == pytest.approx(good.within(1), abs=1e-4)


def test_too_little_to_go_by_changes_nothing():
    assert drawn(5.0, count=9).factor() == 1.0
    assert drawn(5.0, count=10).factor() > 2.0
    nothing = UncertainErrors(np.ones(50), np.zeros(50))
    assert nothing.factor() == 1.0
    assert nothing.ratio == math.inf
    assert json.loads(json.dumps(nothing.to_json(), allow_nan=False))["ratio"] is None
    perfect = UncertainErrors(np.zeros(50), np.ones(50))
    assert perfect.factor() == 1.0
    assert perfect.ratio == 0.0


def test_metrics_are_calibrated_quantity_by_quantity_and_shown():
    stats = ErrorStats(0.01, 0.02, 0.03, 40_000)
    given = {"energy_per_atom": drawn(0.5), "forces": drawn(3.0, seed=1)}
    metrics, factors = Metrics(10, {"forces": stats}, uncertainty=given).calibrated()
    assert factors == {"energy": given["energy_per_atom"].factor(), "forces": given["forces"].factor()}
    head, energy, forces = (line.split() for line in metrics.table().split("\n\n")[1].splitlines())
    assert head[:3] == ["uncertainty", "predicted", "RMSE"]
    assert energy[:2] == ["energy", "meV/atom"]
    assert forces[:2] == ["forces", "meV/Å"]
    assert float(forces[2]) == pytest.approx(float(forces[3]), rel=0.03)
    assert float(forces[2]) == pytest.approx(1e3 * metrics.uncertainty["forces"].rms, rel=1e-3)
    assert (forces[4], forces[-1]) == ("1", "40000")
    assert "68 %" in metrics.table()


@pytest.mark.parametrize("count", [1, 4, 30, 3000])
def test_a_plot_of_any_number_of_errors(count):
    found = drawn(1.0, count=count)
    svg = uncertainty({"energy_per_atom": found, "forces": found.scaled(0.0)}, DEFAULT_UNITS)
    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
