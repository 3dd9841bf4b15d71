"""What the modules of e3nn compute, as plain matrices: their normalisation and their order of weights end here."""

# Its imports are of another Python than the one that Cynosure runs in.
# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

import numpy as np


def numbers(tensor: Any) -> np.ndarray:
    """A torch tensor in NumPy's float64."""
    return tensor.detach().cpu().numpy().astype(np.float64)


def linear(module: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """`e3nn.o3.Linear` as y[ir] = xᵀ[ir] M[ir] + bias.

    Channels of an irrep are counted through all of its blocks, in their order.

    Returns:
        M [channels in, channels out] by irrep; the bias [channels out] of the invariant scalars 0e.
    """
    starts_in, sizes_in = _channels(module.irreps_in)
    starts_out, sizes_out = _channels(module.irreps_out)
    maps = {ir: np.zeros((sizes_in[ir], size)) for ir, size in sizes_out.items() if ir in sizes_in}
    bias = np.zeros(sizes_out.get("0e", 0))
    weights, biases, place, place_of_bias = numbers(module.weight), numbers(module.bias), 0, 0
    for instruction in module.instructions:
        ir = str(module.irreps_out[instruction.i_out].ir)
        column = starts_out[instruction.i_out]
        if instruction.i_in == -1:
            (count,) = instruction.path_shape
            bias[column : column + count] = (
                instruction.path_weight * biases[place_of_bias : place_of_bias + count]
            )
            place_of_bias += count
            continue
        rows, columns = instruction.path_shape
        row = starts_in[instruction.i_in]
        block = weights[place : place + rows * columns].reshape(rows, columns)
        maps[ir][row : row + rows, column : column + columns] = instruction.path_weight * block
        place += rows * columns
    return maps, bias


def by_species(module: Any) -> dict[str, np.ndarray]:
    """A `FullyConnectedTensorProduct` of x with a one-hot vector of species: [species, channels in, channels out]."""
    starts_in, sizes_in = _channels(module.irreps_in1)
    starts_out, sizes_out = _channels(module.irreps_out)
    ((species, _),) = module.irreps_in2
    maps = {ir: np.zeros((species, sizes_in[ir], size)) for ir, size in sizes_out.items() if ir in sizes_in}
    weights, place = numbers(module.weight), 0
    for instruction in module.instructions:
        rows, middle, columns = instruction.path_shape
        ir = module.irreps_out[instruction.i_out].ir
        row, column = starts_in[instruction.i_in1], starts_out[instruction.i_out]
        block = weights[place : place + rows * middle * columns].reshape(rows, middle, columns)
        # The coupling l ⊗ 0 -> l of unit norm is a unit matrix over √(2l + 1).
        factor = instruction.path_weight / np.sqrt(ir.dim)
        maps[str(ir)][:, row : row + rows, column : column + columns] = factor * block.transpose(1, 0, 2)
        place += rows * middle * columns
    return maps


def network(module: Any) -> tuple[list[np.ndarray], float]:
    """`FullyConnectedNet`: the matrix of each layer, and the factor of the activation between them."""
    layers = list(module)
    matrices = [numbers(layer.weight) / np.sqrt(layer.h_in * layer.var_in) for layer in layers]
    assert all(layer.var_in == layer.var_out == 1 for layer in layers)
    assert layers[-1].act is None
    return matrices, factor(layers[0].act)


def factor(activation: Any) -> float:
    """Of a `normalize2mom`: an estimate from a random sample, hence taken as it is."""
    return 1.0 if activation._is_id else float(activation.cst)


def paths(product: Any) -> tuple[list[tuple[int, int, str]], np.ndarray]:
    """A channelwise `TensorProduct` (`uvu`) with one output block for each path, in the order of its weights.

    The blocks may be sorted by irrep, but those of one irrep come in the order of their paths.

    Returns:
        (block of x, block of Y, output irrep) of each path; for each weight, the factor by which the product differs
        from one with orthonormal Clebsch-Gordan numbers.
    """
    listed, factors, last = [], [], {}
    for instruction in product.instructions:
        ir = product.irreps_out[instruction.i_out].ir
        assert instruction.connection_mode == "uvu"
        assert instruction.i_out > last.get(ir, -1)
        last[ir] = instruction.i_out
        listed.append((instruction.i_in1, instruction.i_in2, str(ir)))
        channels = product.irreps_in1[instruction.i_in1].mul
        factors.append(np.full(channels, instruction.path_weight / np.sqrt(ir.dim)))
    return listed, np.concatenate(factors)


def make_exact(model: Any) -> None:
    """Compute coupling tensors anew in a model that is in float64: its checkpoint had them in float32."""
    import torch
    from e3nn.o3 import wigner_3j

    for name, buffer in model.named_buffers():
        last = name.rsplit(".", 1)[-1]
        if last.startswith("_w3j_"):
            exact = wigner_3j(*(int(l) for l in last.split("_")[2:]), dtype=torch.float64)
            if not torch.allclose(exact, buffer.to(torch.float64), atol=1e-6):
                raise AssertionError(
                    f"the coupling {last} of the checkpoint is not that of the installed e3nn"
                )
            with torch.no_grad():
                buffer.copy_(exact)


def _channels(irreps: Any) -> tuple[list[int], dict[str, int]]:
    """Where each block begins among the channels of its irrep, and how many there are of each irrep."""
    starts, sizes = [], {}
    for mul, ir in irreps:
        starts.append(sizes.get(str(ir), 0))
        sizes[str(ir)] = starts[-1] + mul
    return starts, sizes
