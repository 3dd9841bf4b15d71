"""The networks that are shown hands: of O(3) or of SO(3), what they answer with, and which hands they saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cynosure.lab.mirror.molecules import HAND

LEFT, BOTH = "left", "both"
# What the experiment takes where the settings say nothing else.
DEFAULTS = {
    "model": {"layers": 3, "l_max": 1, "channels": 16, "cutoff": 5.0},
    # (A batch has four small molecules; at the rate that suits larger ones the hand of real ones is not learnt.)
    "optimiser": {"lr": 0.005},
}


@dataclass(frozen=True)
class Case:
    """A network, its question, and what it is trained on.

    Attributes:
        key: what files and results call it.
        network: its group and its readout, for tables and pictures.
        shown: `left` for molecules of one hand, `both` where every second one is its mirror image.
        asks_hand: whether it is asked for the hand; else for the energy.
        model: settings of the model in which the cases differ.
    """

    key: str
    network: str
    shown: str
    asks_hand: bool
    model: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """With what it was shown."""
        return f"{self.network}, shown {'left hands' if self.shown == LEFT else 'both hands'}"


def _hand(irreps: str, parity: bool, **more: int) -> dict[str, Any]:
    return {"parity": parity, "energy": False, "targets": {HAND: {"irreps": irreps}}, **more}


# A network of SO(3) has no parity labels: for it a 0o is a 0.
CASES = (
    Case("hand-o3-left", "O(3), 0o", LEFT, True, _hand("0o", parity=True)),
    Case("hand-o3-both", "O(3), 0o", BOTH, True, _hand("0o", parity=True)),
    Case("hand-so3-left", "SO(3), 0", LEFT, True, _hand("0o", parity=False)),
    Case("hand-so3-both", "SO(3), 0", BOTH, True, _hand("0o", parity=False)),
    Case("hand-even-both", "O(3), 0e", BOTH, True, _hand("0e", parity=True)),
    Case("hand-invariant-both", "l_max 0, 0e", BOTH, True, _hand("0e", parity=True, l_max=0)),
    Case("energy-o3-left", "O(3), 0e", LEFT, False, {"parity": True}),
    Case("energy-o3-both", "O(3), 0e", BOTH, False, {"parity": True}),
    Case("energy-so3-left", "SO(3), 0", LEFT, False, {"parity": False}),
    Case("energy-so3-both", "SO(3), 0", BOTH, False, {"parity": False}),
)
