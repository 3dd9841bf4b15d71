import copy
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cynosure.o3 import Irrep, Irreps

labelled = st.builds(Irrep, st.integers(0, 9), st.sampled_from([-1, 1]))
unlabelled = st.builds(Irrep, st.integers(0, 9), st.just(0))


def irreps_of(irrep):
    return st.builds(Irreps, st.lists(st.tuples(st.integers(0, 5), irrep), max_size=5))


any_irreps = st.one_of(irreps_of(labelled), irreps_of(unlabelled))
quick = settings(deadline=None, derandomize=True, max_examples=50)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("64x0e+32x1o+16x2e", [(64, Irrep(0, 1)), (32, Irrep(1, -1)), (16, Irrep(2, 1))]),
        ("64x0+32x1", [(64, Irrep(0, 0)), (32, Irrep(1, 0))]),
        (" 2 x 1o + 0e ", [(2, Irrep(1, -1)), (1, Irrep(0, 1))]),
        ("0x3e+12x11o", [(0, Irrep(3, 1)), (12, Irrep(11, -1))]),
        ("", []),
    ],
)
def test_what_is_written_is_read(text, blocks):
    assert list(Irreps(text)) == blocks


@quick
@given(any_irreps)
def test_printing_and_parsing_are_inverse(irreps):
    assert Irreps(str(irreps)) == irreps
    assert hash(Irreps(str(irreps))) == hash(irreps)
    assert all(Irrep.parse(str(ir)) == ir for _, ir in irreps)


def test_every_way_of_building_agrees():
    expected = Irreps("2x1o+1x0e")
    vector = Irrep.parse("1o")
    assert Irreps(expected) == expected
    assert Irreps([(2, "1o"), (1, Irrep(0, 1))]) == expected
    assert Irreps([(2, vector), "0e"]) == expected
    assert Irreps([(2, vector)]) + Irrep(0, 1) == expected
    assert Irreps(vector) == Irreps("1o")
    assert Irrep.parse(vector) is vector


def test_values_are_frozen():
    irreps = Irreps("2x1o")
    with pytest.raises(AttributeError):
        irreps.blocks = ()  # pyright: ignore
    with pytest.raises(AttributeError):
        irreps[0][1].l = 3  # pyright: ignore
    assert pickle.loads(pickle.dumps(irreps)) == copy.deepcopy(irreps) == irreps


@quick
@given(any_irreps)
def test_dimension_and_slices_count_components(irreps):
    assert irreps.dim == sum(mul * (2 * ir.l + 1) for mul, ir in irreps)
    assert irreps.num_irreps == sum(mul for mul, _ in irreps)
    covered = [index for part in irreps.slices() for index in range(part.start, part.stop)]
    assert covered == list(range(irreps.dim))
    assert len(irreps.slices()) == len(irreps)


def test_highest_degree():
    assert Irreps("4x0e+3x2e+0x5o").lmax == 2
    with pytest.raises(ValueError, match="no highest degree"):
        _ = Irreps("0x5o").lmax


def test_order_is_by_degree_then_odd_before_even():
    ordered = [Irrep.parse(text) for text in ("0o", "0e", "1o", "1e", "2o", "2e")]
    assert sorted(map(Irrep.parse, ("2e", "1e", "2o", "0e", "1o", "0o"))) == ordered
    assert ordered[1] < ordered[2] <= ordered[2]
    assert ordered[3] > ordered[0]


@quick
@given(any_irreps)
def test_sorting_permutes_blocks_and_keeps_equal_ones_in_place(irreps):
    arranged, permutation = irreps.sort()
    assert sorted(permutation) == list(range(len(irreps)))
    assert [irreps[index] for index in permutation] == list(arranged)
    keys = [(ir, index) for (_, ir), index in zip(arranged, permutation, strict=True)]
    assert keys == sorted(keys)


@quick
@given(any_irreps)
def test_simplifying_moves_no_component(irreps):
    def components(value):
        return [ir for mul, ir in value for _ in range(mul)]

    simple = irreps.simplify()
    assert components(simple) == components(irreps)
    assert all(mul > 0 for mul, _ in simple)
    assert all(first[1] != second[1] for first, second in zip(simple, simple[1:], strict=False))


def test_simplifying_merges_neighbours_of_one_irrep_only():
    assert Irreps("1o+2x1o+3x1e+0x2e+1e+1o").simplify() == Irreps("3x1o+4x1e+1x1o")


def test_filtering():
    irreps = Irreps("4x0e+3x1o+2x1e+5x2e+3x1o")
    assert irreps.filter("1o+0e") == Irreps("4x0e+3x1o+3x1o")
    assert irreps.filter(["1e"]) == Irreps("2x1e")
    assert irreps.filter(lambda ir: ir.p == -1) == Irreps("3x1o+3x1o")
    assert irreps.filter(lmax=1) == Irreps("4x0e+3x1o+2x1e+3x1o")
    assert irreps.filter(Irrep(2, 1), lmax=1) == Irreps()
    assert irreps.filter() == irreps


def test_counting_and_membership():
    irreps = Irreps("3x1o+2x1e+4x1o+0x2e")
    assert irreps.count("1o") == 7
    assert irreps.count(Irrep(3, 1)) == 0
    assert "1e" in irreps
    assert "2e" not in irreps
    assert Irrep(0, 1) not in irreps


def test_indexing():
    irreps = Irreps("3x1o+2x1e+4x0e")
    assert irreps[-1] == (4, Irrep(0, 1))
    assert irreps[:2] == Irreps("3x1o+2x1e")


@quick
@given(labelled, labelled)
def test_a_product_has_the_dimension_and_parity_of_its_factors(first, second):
    product = first * second
    assert sum(ir.dim for ir in product) == first.dim * second.dim
    assert {ir.p for ir in product} == {first.p * second.p}
    assert len(set(product)) == len(product)
    assert product == second * first


def test_selection_rule():
    assert Irrep.parse("1o") * Irrep.parse("2e") == tuple(map(Irrep.parse, ("1o", "2o", "3o")))
    assert Irrep.parse("2") * Irrep.parse("2") == tuple(map(Irrep.parse, ("0", "1", "2", "3", "4")))


@quick
@given(irreps_of(labelled), irreps_of(labelled))
def test_the_full_tensor_product_is_complete(first, second):
    product = first.tensor_product(second)
    assert product.dim == first.dim * second.dim
    assert product == second.tensor_product(first) == product.sort().irreps.simplify()


def test_scalars():
    assert [Irrep.parse(text).is_scalar() for text in ("0e", "0", "0o", "1e")] == [True, True, False, False]


def test_irreps_of_spherical_harmonics():
    assert str(Irreps.spherical_harmonics(3)) == "1x0e+1x1o+1x2e+1x3o"
    assert str(Irreps.spherical_harmonics(2, p=1)) == "1x0e+1x1e+1x2e"
    assert str(Irreps.spherical_harmonics(2, p=0)) == "1x0+1x1+1x2"


@pytest.mark.parametrize(
    ("bad", "names"),
    [
        ("64x0e+32x1p", "32x1p"),
        ("64x0e+", "''"),
        ("0e 1o", "0e 1o"),
        ("-2x1o", "-2x1o"),
        ("x1o", "x1o"),
        ("2x", "2x"),
        ("1.5x0e", "1.5x0e"),
        ("0e,1o", "0e,1o"),
        ("²x0e", "²x0e"),
        ("1e+2", "mixes"),
        ([(1, "0e"), (1, "0")], "mixes"),
        ([(-1, "0e")], "-1"),
        ([(1.0, "0e")], "1.0"),
        ([(True, "0e")], "True"),
        ([(1, "0e", 2)], "not a block"),
        ([(1, 0)], "not an irrep"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_malformed_irreps_are_named(bad, names):
    with pytest.raises(ValueError, match=re.escape(names)):
        Irreps(bad)


@pytest.mark.parametrize(
    "make", [lambda: Irrep(-1, 1), lambda: Irrep(1.0, 1), lambda: Irrep(1, 2), lambda: Irrep(1, True)]
)
def test_impossible_irreps_are_refused(make):
    with pytest.raises(ValueError, match="of an irrep is"):
        make()


@pytest.mark.parametrize("bad", ["", "e", "1x0e", "o1", "-1e", None, 3])
def test_malformed_irrep(bad):
    with pytest.raises(ValueError, match="is not an irrep"):
        Irrep.parse(bad)


def test_parity_and_no_parity_do_not_multiply():
    with pytest.raises(ValueError, match="'1o' and '1' mixes"):
        _ = Irrep.parse("1o") * Irrep.parse("1")
    with pytest.raises(ValueError, match="mixes"):
        Irreps("1o").tensor_product("1")
    with pytest.raises(ValueError, match="mixes"):
        _ = Irreps("1o") + "1"
