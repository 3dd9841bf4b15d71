"""What the pictures show is what the algebra says: surfaces turn with D(R), and coefficients are exact."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch

from cynosure.lab.look import coefficients, exact, hidden_features, look, parse_path, sentences
from cynosure.lab.look.coupling import coefficient_table, orthonormality
from cynosure.lab.look.harmonics import POLYNOMIALS, component_names
from cynosure.lab.look.surface import sphere, surface_values, view_from
from cynosure.o3 import Irrep, Irreps, random_rotation, spherical_harmonics, wigner_D

R = random_rotation(generator=torch.Generator().manual_seed(7))


# Surfaces.


@pytest.mark.parametrize("subdivisions", [0, 2])
def test_the_mesh_is_a_closed_sphere_seen_from_outside(subdivisions):
    mesh = sphere(subdivisions)
    assert len(mesh.faces) == 20 * 4**subdivisions
    edges = np.sort(
        np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1
    )
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()
    assert len(mesh.directions) - len(unique) + len(mesh.faces) == 2  # Euler
    np.testing.assert_allclose(np.linalg.norm(mesh.directions, axis=1), 1, rtol=1e-14)
    assert (np.linalg.det(mesh.directions[mesh.faces]) > 0).all()


@pytest.mark.parametrize("l", range(5))
def test_a_surface_turns_with_its_coefficients(l):
    x = np.random.default_rng(l).normal(size=2 * l + 1)
    n = sphere(1).directions
    turned = surface_values(l, wigner_D(l, R).numpy() @ x, n @ R.numpy().T)
    np.testing.assert_allclose(turned, surface_values(l, x, n), rtol=0, atol=1e-13)
    assert np.abs(surface_values(l, x, n)).max() <= np.linalg.norm(x) * (1 + 1e-12)


@pytest.mark.parametrize("l", POLYNOMIALS)
def test_the_names_of_components_are_what_they_are_proportional_to(l):
    n = torch.as_tensor(sphere(1).directions)
    x, y, z = n.T
    for name, component in zip(POLYNOMIALS[l], spherical_harmonics(l, n).T, strict=True):
        code = re.sub(r"(?<=[xyz2²])(?=[xyz])", "*", name).replace("²", "**2").replace("−", "-")
        value = eval(code, {"x": x, "y": y, "z": z}) * torch.ones_like(x)
        factor = (value @ component) / (value @ value)
        assert factor > 0
        torch.testing.assert_close(factor * value, component, rtol=0, atol=1e-12)
    assert component_names(1) == ("x", "y", "z")
    assert component_names(2)[0] == "−2"


def test_the_view_is_a_rotation_with_y_upwards():
    view = view_from(20, 30)
    np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(view) > 0
    assert view[1, 1] > 0.9
    assert view[0, 1] == 0


# Features.


@pytest.mark.parametrize("irreps", ["1o+2e", "0o+2x1e+3o", "1+2", "0e"])
def test_features_of_the_turned_molecule_are_turned_features(irreps):
    features = hidden_features(irreps, "CH3CHO", seed=3)
    assert features.irreps == Irreps(irreps)
    assert not features.vanishing()
    for irrep, _, (before, after, predicted) in features.shown():
        turned = wigner_D(irrep, torch.as_tensor(features.matrix)).numpy() @ before
        np.testing.assert_allclose(after, turned, rtol=0, atol=1e-12)
        np.testing.assert_allclose(predicted, turned, rtol=0, atol=1e-14)
        if irrep.l:
            assert np.abs(after - before).max() > 1e-2 * np.abs(before).max()
    assert max(features.rotation.values()) < 1e-12
    assert set(features.inversion) == (set() if irreps == "1+2" else set(features.rotation))
    assert max(features.inversion.values(), default=0.0) < 1e-12
    np.testing.assert_allclose(
        features.turned.positions, features.molecule.positions @ features.matrix.T, rtol=0, atol=1e-14
    )


def test_the_seed_decides():
    first, again, other = (hidden_features(seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.before, again.before)
    assert np.abs(first.before - other.before).max() > 1e-2
    assert np.abs(first.matrix - other.matrix).max() > 1e-2


def test_features_that_the_symmetry_of_a_molecule_forbids_are_told_of():
    seen = look("1e+2e", "H2")
    assert seen.features.vanishing() == [Irrep(1, 1)]
    assert any("1e is zero on every atom" in sentence for sentence in sentences(seen))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"irreps": ""}, "no features were asked for"),
        ({"irreps": "7x1o"}, "at most 6 of l up to 4"),
        ({"irreps": "5o"}, "at most 6 of l up to 4"),
        ({"irreps": "1o+2e+1o"}, "has an irrep twice"),
        ({"irreps": "1q"}, "is malformed"),
        ({"molecule": "CH3CH2H"}, "knows no 'CH3CH2H'; did you mean .*CH3CH2OH"),
        ({"molecule": "Na"}, "is one atom"),
        ({"l_max": 5}, "l up to 4 can be looked at; got l_max 5"),
        ({"path": "1o,1o"}, "a path is three irreps"),
        ({"path": "1o,1o,1o"}, "the product of 1o and 1o has 0e, 1e, 2e, and not 1o"),
        ({"path": "1o,1,1"}, "mixes an irrep with parity and one without"),
        ({"path": "3o,3o,6e"}, "degrees up to 4"),
    ],
)
def test_what_cannot_be_looked_at_is_told_in_plain_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        look(**arguments)


# Coefficients.


def value_of(text):
    """The number that `exact` wrote as a fraction or as the root of one."""
    match = re.fullmatch(r"(−?)(√?)\(?(\d+(?:/\d+)?)\)?", text)
    assert match, text
    value = Fraction(match[3])
    return (-1 if match[1] else 1) * (math.sqrt(value) if match[2] else float(value))


def every_path():
    for l1 in range(4):
        for l2 in range(4):
            for l3 in range(abs(l1 - l2), min(l1 + l2, 4) + 1):
                yield parse_path(f"{l1},{l2},{l3}")


def test_every_coefficient_is_recognised_and_exact():
    for path in every_path():
        values = coefficients(path)
        assert orthonormality(values) < 1e-14
        for value in values.ravel().tolist():
            assert value_of(exact(value)) == pytest.approx(value, rel=0, abs=1e-14)


def test_numbers_are_written_as_roots_fractions_or_as_they_are():
    assert exact(-(0.5**0.5)) == "−√(1/2)"
    assert exact(0.5) == "1/2"
    assert exact(-1.0) == "−1"
    assert exact(2**0.5) == "√2"
    assert exact(0.0) == "0"
    assert exact(math.pi / 4) == "0.7854"


def test_the_table_of_two_vectors_to_an_axial_one_is_the_cross_product():
    table = coefficient_table(parse_path("1o,1o,1e"))
    assert table.columns == ("1o", "1o", "x", "y", "z")
    assert ("x", "y", "·", "·", "√(1/2)") in table.rows
    assert ("y", "x", "·", "·", "−√(1/2)") in table.rows
    assert len(table.rows) == 6
