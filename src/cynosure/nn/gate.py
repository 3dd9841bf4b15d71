"""Equivariant nonlinearities: a tensor may only be scaled by an invariant."""

from __future__ import annotations

from torch import Tensor, nn

from cynosure.kernels import GateItem, Program, Value
from cynosure.nn import layout
from cynosure.nn.activation import Activation
from cynosure.o3 import Irrep, Irreps


class Gate(nn.Module):
    """Scalars pass through an activation; every other irrep is multiplied by a gate made of a scalar of its own.

    The input is `irreps_in` = gates + `irreps_out`: one invariant scalar per channel of each irrep that is
    gated, then the irreps themselves. Invariant scalars use `silu`, pseudoscalars 0o the odd `tanh` (an even
    function would make them invariant), gates `sigmoid` unless told otherwise. Weiler et al. 2018 (3D steerable
    CNNs), section 4.

    Args:
        irreps_out: the irreps that leave; those that enter besides the gates.
        gate: name of the gates' `Activation`.
    """

    def __init__(self, irreps_out: Irreps | str, gate: str = "sigmoid") -> None:
        super().__init__()
        self.irreps_out = Irreps(irreps_out)
        invariant = Irrep(0, 0) if any(ir.p == 0 for _, ir in self.irreps_out) else Irrep(0, 1)
        self.irreps_gates = Irreps([(mul, invariant) for mul, ir in self.irreps_out if ir.l > 0])
        self.irreps_in = self.irreps_gates + self.irreps_out
        self.scalar, self.pseudoscalar, self.gate = (
            Activation("silu"),
            Activation("tanh"),
            Activation(gate),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., irreps_in.dim] -> [..., irreps_out.dim]."""
        layout.check(self.irreps_in, x)
        gates = self.gate(x[..., : self.irreps_gates.dim])
        blocks, used = [], 0
        for (mul, ir), block in zip(
            self.irreps_out, layout.split(self.irreps_out, x[..., self.irreps_gates.dim :]), strict=True
        ):
            if ir.l > 0:
                block = block * gates[..., used : used + mul].unsqueeze(-2)
                used += mul
            else:
                block = self.scalar(block) if ir.is_scalar() else self.pseudoscalar(block)
            blocks.append(block)
        return layout.join(blocks)

    def lower(self, program: Program, x: Value) -> Value:
        """Add this layer to a program of the compiled core."""
        items, gate = [], 0
        for block, (_, ir) in enumerate(self.irreps_out):
            behind = len(self.irreps_gates) + block
            if ir.l > 0:
                items.append(GateItem(self.gate.name, self.gate.factor, behind, gate, block))
                gate += 1
            else:
                activation = self.scalar if ir.is_scalar() else self.pseudoscalar
                items.append(GateItem(activation.name, activation.factor, None, behind, block))
        return program.gate(x, items, self.irreps_out)


class NormActivation(nn.Module):
    """y = x · f(n)/n with n² = ⟨x_m²⟩_m + ε²: each tensor is scaled by a function of its own length.

    Invariant scalars pass through the same formula, hence keep their sign. ε keeps every derivative at zero
    finite.

    Args:
        irreps: irreps in and out.
        activation: f.
        epsilon: ε, in the units of x.
    """

    def __init__(self, irreps: Irreps | str, activation: str = "tanh", epsilon: float = 1e-3) -> None:
        super().__init__()
        self.irreps_in = self.irreps_out = Irreps(irreps)
        self.activation, self.epsilon = Activation(activation), epsilon

    def forward(self, x: Tensor) -> Tensor:
        """[..., irreps.dim] -> [..., irreps.dim]."""
        layout.check(self.irreps_in, x)
        blocks = []
        for block in layout.split(self.irreps_in, x):
            norm = (block.square().mean(dim=-2, keepdim=True) + self.epsilon**2).sqrt()
            blocks.append(block * (self.activation(norm) / norm))
        return layout.join(blocks)
