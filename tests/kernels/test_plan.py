"""What the compiled core assumes of Clebsch-Gordan numbers."""

from __future__ import annotations

import itertools

import pytest

from cynosure.kernels.plan import MAX_DEGREE, couples
from cynosure.o3 import clebsch_gordan


@pytest.mark.parametrize("l_in", range(MAX_DEGREE + 1))
def test_the_selection_rule_covers_every_nonzero_number(l_in):
    for l_edge, l_out in itertools.product(range(6), range(MAX_DEGREE + 1)):
        if abs(l_in - l_edge) <= l_out <= l_in + l_edge:
            numbers = abs(clebsch_gordan(l_in, l_edge, l_out))
            assert numbers[~couples(l_in, l_edge, l_out)].max(initial=0) < 1e-13


def test_the_selection_rule_is_exact_where_the_core_unrolls_it():
    for l_in, l_edge, l_out in itertools.product(range(3), repeat=3):
        if abs(l_in - l_edge) <= l_out <= l_in + l_edge:
            numbers = abs(clebsch_gordan(l_in, l_edge, l_out))
            assert ((numbers > 1e-13) == couples(l_in, l_edge, l_out)).all()
