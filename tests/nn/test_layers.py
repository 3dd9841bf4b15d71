"""Every layer: equivariant, of unit variance at the start, with finite derivatives to second order and beyond."""

import pytest
import torch

from cynosure.nn import (
    Convolution,
    Gate,
    LayerNorm,
    Linear,
    NormActivation,
    ProductBasis,
    Readout,
    TensorProduct,
    layout,
)
from cynosure.o3 import Irrep, Irreps, random_rotation
from cynosure.testing import assert_equivariant

KINDS = ["16x0e+8x1o+4x2e", "8x0e+4x0o+8x1o+4x1e+2x2e+2x2o", "8x0+4x1+2x2"]  # natural, both parities, SO(3)


def scalar(irreps: str) -> str:
    return "0" if "e" not in irreps else "0e"


class _OfOneSpecies(torch.nn.Module):
    """A layer that takes species, for nodes of the second one."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        species = torch.ones(len(flat), dtype=torch.int64)
        return self.layer(flat, species).reshape(*x.shape[:-1], -1)


def layers(irreps: str, few: int = 2) -> dict[str, tuple[torch.nn.Module, list[Irreps], Irreps]]:
    """Name -> (layer, irreps of each input, irreps of the output); `few` channels where all pairs are coupled."""
    full = Irreps(irreps)
    small = Irreps([(few, ir) for _, ir in full])
    edge = Irreps([(1, ir) for ir in dict.fromkeys(ir for _, ir in full)])
    gate, product = Gate(full), TensorProduct(full, edge)
    fully = TensorProduct(small, small, mode="full", channels=3)
    unweighted = TensorProduct(small, small, weights=None)
    once = Irreps([(3, ir) for _, ir in full])
    basis = ProductBasis(once, once, order=3, num_species=2)
    return {
        "product_basis": (_OfOneSpecies(basis), [once], once),
        "linear": (Linear(full, full, bias=True), [full], full),
        "gate": (gate, [gate.irreps_in], full),
        "norm_activation": (NormActivation(full), [full], full),
        "layer_norm": (LayerNorm(full), [full], full),
        "product": (product, [full, edge], product.irreps_out),
        "full_product": (fully, [small, small], fully.irreps_out),
        "channel_product": (unweighted, [small, small], unweighted.irreps_out),
        "readout": (
            Readout(full, f"3x{scalar(irreps)}", f"4x{scalar(irreps)}"),
            [full],
            Irreps(f"3x{scalar(irreps)}"),
        ),
    }


NAMES = sorted(layers(KINDS[0]))


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("irreps", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_equivariant(name, irreps):
    assert_equivariant(*layers(irreps)[name])


@pytest.mark.parametrize("irreps", KINDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0])
def test_derivatives_to_fourth_order_are_finite(name, irreps, size):
    layer, kinds, _ = layers(irreps)[name]
    layer = layer.double()
    inputs = [size * torch.randn(2, kind.dim, dtype=torch.float64) for kind in kinds]
    inputs = [x.requires_grad_() for x in inputs]
    value = layer(*inputs).square().sum()
    for _ in range(4):
        assert torch.isfinite(value)
        gradients = torch.autograd.grad(value, inputs, create_graph=True, materialize_grads=True)
        assert all(torch.isfinite(g).all() for g in gradients)
        value = sum((g * torch.linspace(0.5, 1.5, g.numel()).view_as(g)).sum() for g in gradients)
        if not value.requires_grad:  # a polynomial of low degree runs out of derivatives
            break


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_are_right(name):
    irreps = "2x0e+1x0o+1x1o"
    layer, kinds, _ = layers(irreps, few=1)[name]
    layer = layer.double()
    inputs = tuple(torch.randn(2, kind.dim, dtype=torch.float64, requires_grad=True) for kind in kinds)
    assert torch.autograd.gradgradcheck(layer, inputs)


@pytest.mark.parametrize("irreps", KINDS)
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"norm_activation"}))
def test_unit_variance_stays_near_one(name, irreps):
    wide = "+".join(f"64x{ir}" for _, ir in Irreps(irreps))
    layer, kinds, irreps_out = layers(wide, few=12)[name]
    with torch.no_grad():
        outputs = layer(*[torch.randn(400, kind.dim) for kind in kinds])
    for (mul, ir), columns in zip(irreps_out, irreps_out.slices(), strict=True):
        variance = float(outputs[:, columns].square().mean())
        # A gate's two unit-second-moment factors are independent, so their product has unit second moment.
        assert 0.4 < variance < 2.5, f"{mul}x{ir}: {variance}"


def test_bias_reaches_invariant_scalars_only():
    layer = Linear("2x0e+1x0o+1x1o", "2x0e+1x0o+1x1o", bias=True)
    assert layer.bias.shape == (2,)
    with torch.no_grad():
        layer.bias.fill_(1.0)
    out = layer(torch.zeros(1, 6))
    assert out.tolist() == [[1, 1, 0, 0, 0, 0]]


def test_species_linear_layer_uses_the_species():
    layer = Linear("4x0e+2x1o", "3x0e+2x1o", num_species=3).double()
    x, species = torch.randn(6, 10, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])
    mixed = layer(x, species)
    for kind in range(3):
        alone = layer(x, torch.full((6,), kind))
        torch.testing.assert_close(mixed[species == kind], alone[species == kind], rtol=1e-14, atol=1e-14)
    assert_equivariant(lambda y: layer(y, species), "4x0e+2x1o", "3x0e+2x1o", batch=6)


def test_separated_blocks_of_one_irrep_are_mixed_together():
    layer = Linear("2x0e+1x1o+3x0e", "1x1o+4x0e").double()
    assert [tuple(w.shape) for w in layer.weights] == [(1, 1), (5, 4)]
    assert_equivariant(layer, "2x0e+1x1o+3x0e", "1x1o+4x0e")


def test_pseudoscalars_keep_their_sign_under_the_gate():
    gate = Gate("2x0o").double()
    x = torch.randn(3, 2, dtype=torch.float64)
    torch.testing.assert_close(gate(-x), -gate(x), rtol=0, atol=0)


@pytest.mark.parametrize("irreps", KINDS)
def test_convolution_layer(irreps):
    edge = Irreps.spherical_harmonics(2, p=0 if "e" not in irreps else -1)
    layer = Convolution(irreps, edge, irreps, num_basis=4, radial_hidden=(8, 4), avg_neighbours=3.0)
    basis = torch.rand(12, 4, dtype=torch.float64)
    receivers, senders = torch.arange(4).repeat_interleave(3), torch.arange(12) % 4
    harmonics = torch.randn(12, edge.dim, dtype=torch.float64)
    layer = layer.double()
    x = torch.randn(4, Irreps(irreps).dim, dtype=torch.float64)
    matrix = random_rotation(generator=torch.Generator().manual_seed(1))
    turned = layer(
        layout.transform(irreps, x, matrix),
        layout.transform(edge, harmonics, matrix),
        basis,
        receivers,
        senders,
    )
    expected = layout.transform(irreps, layer(x, harmonics, basis, receivers, senders), matrix)
    torch.testing.assert_close(turned, expected, rtol=1e-11, atol=1e-11)


def test_convolution_variance_does_not_grow_with_coordination():
    irreps, edge = "64x0e+64x1o+64x2e", Irreps("0e+1o+2e")
    for neighbours in (1, 8, 40):
        layer = Convolution(
            irreps, edge, irreps, num_basis=8, radial_hidden=(64, 16), avg_neighbours=neighbours
        )
        nodes = 200
        receivers = torch.arange(nodes).repeat_interleave(neighbours)
        senders = torch.randint(0, nodes, (nodes * neighbours,))
        harmonics = torch.randn(nodes * neighbours, edge.dim)
        out = layer(
            torch.randn(nodes, Irreps(irreps).dim),
            harmonics,
            torch.randn(nodes * neighbours, 8),
            receivers,
            senders,
        )
        assert 0.5 < float(out.detach().square().mean()) < 2.0


def test_paths_as_data():
    product = TensorProduct("2x0e+2x1o", "0e+1o", paths=[(1, 1, "1e"), (0, 1, Irrep(1, -1))])
    assert str(product.irreps_out) == "2x1e+2x1o"
    assert_equivariant(product, ["2x0e+2x1o", "0e+1o"], "2x1e+2x1o")


def test_weights_per_edge():
    product = TensorProduct("2x0e+2x1o", "0e+1o", ["0e", "1o"], weights="external").double()
    x1, x2 = torch.randn(5, 8, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    weights = torch.randn(5, product.num_weights, dtype=torch.float64)
    together = product(x1, x2, weights)
    apart = torch.stack([product(x1[e], x2[e], weights[e]) for e in range(5)])
    torch.testing.assert_close(together, apart, rtol=1e-13, atol=1e-13)


def test_errors_say_what_does_not_fit():
    with pytest.raises(ValueError, match="could only be zero"):
        Linear("2x0e", "1x1o")
    with pytest.raises(ValueError, match="size 5 on its last axis"):
        Linear("2x0e", "2x0e")(torch.zeros(1, 5))
    with pytest.raises(ValueError, match="needs 'species'"):
        Linear("2x0e", "2x0e", num_species=2)(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="has no 2e"):
        TensorProduct("0e", "1o", paths=[(0, 0, "2e")])
    with pytest.raises(ValueError, match="needs 1 or 2 channels"):
        TensorProduct("2x0e", "3x0e")
    with pytest.raises(ValueError, match="external weights"):
        TensorProduct("2x0e", "0e")(torch.zeros(1, 2), torch.zeros(1, 1), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="no activation"):
        NormActivation("0e", "relu6")
