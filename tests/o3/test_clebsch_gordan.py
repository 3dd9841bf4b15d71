import itertools

import numpy as np
import pytest

from cynosure.o3 import clebsch_gordan, generators


def triples(highest):
    for l1, l2 in itertools.product(range(highest + 1), repeat=2):
        for l3 in range(abs(l1 - l2), min(l1 + l2, highest) + 1):
            yield l1, l2, l3


# Every triple up to degree 6, and the corners of those up to 12.
LOW = list(triples(6))
HIGH = [
    (12, 12, 0),
    (12, 12, 1),
    (12, 12, 12),
    (12, 12, 24),
    (12, 7, 5),
    (12, 7, 11),
    (9, 10, 19),
    (3, 11, 12),
    (8, 11, 6),
]


@pytest.mark.parametrize("l1", range(13))
def test_coupling_is_orthogonal_and_complete_to_degree_12(l1):
    for l2 in range(0, 13, 3 if l1 % 3 else 1):
        coupled = [clebsch_gordan(l1, l2, l3) for l3 in range(abs(l1 - l2), l1 + l2 + 1)]
        matrix = np.concatenate(coupled, axis=2).reshape((2 * l1 + 1) * (2 * l2 + 1), -1)
        identity = np.eye(len(matrix))
        np.testing.assert_allclose(matrix.T @ matrix, identity, rtol=0, atol=1e-13)
        np.testing.assert_allclose(matrix @ matrix.T, identity, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("l1", "l2", "l3"), LOW + HIGH)
def test_coupling_intertwines_the_generators(l1, l2, l3):
    coupling = clebsch_gordan(l1, l2, l3)
    first = np.einsum("xam,mnc->xanc", generators(l1), coupling)
    second = np.einsum("xbn,mnc->xmbc", generators(l2), coupling)
    coupled = np.einsum("mnd,xdc->xmnc", coupling, generators(l3))
    np.testing.assert_allclose(first + second, coupled, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("l1", "l2", "l3"), LOW + HIGH)
def test_exchanging_the_factors_changes_the_sign_alone(l1, l2, l3):
    exchanged = clebsch_gordan(l2, l1, l3).transpose(1, 0, 2)
    np.testing.assert_array_equal(exchanged, (-1) ** (l1 + l2 - l3) * clebsch_gordan(l1, l2, l3))


@pytest.mark.parametrize(("l1", "l2", "l3"), LOW + HIGH)
def test_what_the_azimuth_forbids_is_exactly_zero(l1, l2, l3):
    orders = [np.arange(-degree, degree + 1) for degree in (l1, l2, l3)]
    m1, m2, m3 = np.meshgrid(*orders, indexing="ij")
    adds_up = (abs(m3) == abs(m1) + abs(m2)) | (abs(m3) == abs(abs(m1) - abs(m2)))
    # A product of sines and cosines is even in the azimuth when it has an even number of sines.
    even = ((m1 < 0).astype(int) + (m2 < 0) + (m3 < 0)) % 2 == (l1 + l2 + l3) % 2
    assert not clebsch_gordan(l1, l2, l3)[~(adds_up & even)].any()


def test_coefficients_known_in_closed_form():
    np.testing.assert_allclose(clebsch_gordan(1, 1, 0)[..., 0], np.eye(3) / np.sqrt(3), rtol=0, atol=5e-16)
    cross = np.zeros((3, 3, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[a, b, c], cross[b, a, c] = 1, -1
    np.testing.assert_allclose(clebsch_gordan(1, 1, 1), cross / np.sqrt(2), rtol=0, atol=5e-16)
    for degree in range(8):
        np.testing.assert_array_equal(clebsch_gordan(0, degree, degree)[0], np.eye(2 * degree + 1))


def test_the_array_is_shared_and_read_only():
    first = clebsch_gordan(2, 2, 2)
    assert clebsch_gordan(np.int64(2), 2, 2) is first
    assert first.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        generators(2)[0, 0, 0] = 1


@pytest.mark.parametrize("degrees", [(1, 1, 3), (3, 1, 1), (0, 0, 1)])
def test_the_triangle_rule_is_enforced(degrees):
    with pytest.raises(ValueError, match="triangle rule"):
        clebsch_gordan(*degrees)


def test_negative_degrees_are_refused():
    with pytest.raises(ValueError, match="l2=-1"):
        clebsch_gordan(1, -1, 0)
    with pytest.raises(ValueError, match="l=-1"):
        generators(-1)


@pytest.mark.parametrize("degree", range(13))
def test_generators_obey_the_algebra(degree):
    jx, jy, jz = generators(degree)
    for first, second, third in ((jx, jy, jz), (jy, jz, jx), (jz, jx, jy)):
        np.testing.assert_allclose(first @ second - second @ first, third, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(first.T, -first)
    casimir = -degree * (degree + 1) * np.eye(2 * degree + 1)
    np.testing.assert_allclose(jx @ jx + jy @ jy + jz @ jz, casimir, rtol=0, atol=1e-12)


def test_generators_of_vectors_rotate_by_the_right_hand():
    for axis in range(3):
        expected = np.cross(np.eye(3)[axis], np.eye(3)).T  # columns are axis × e
        np.testing.assert_allclose(generators(1)[axis], expected, rtol=0, atol=1e-15)
