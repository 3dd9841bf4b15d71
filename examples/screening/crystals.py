"""Thirteen crystals of TiO2 and SiO2 as experiments found them: space groups, cells, sites and sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ase import Atoms
from ase.spacegroup import crystal

Site = tuple[str, float, float, float]

_THIRD = 1 / 3


@dataclass(frozen=True)
class Polymorph:
    """A published crystal structure.

    Attributes:
        group: number of the space group.
        cell: a, b, c (Å), α, β, γ (°).
        sites: element and fractional coordinates of each atom of the asymmetric unit.
        source: who found it.
        setting: choice of origin, as ASE numbers them.
    """

    group: int
    cell: tuple[float, float, float, float, float, float]
    sites: Sequence[Site]
    source: str
    setting: int = 1

    def atoms(self) -> Atoms:
        """The conventional cell."""
        made = crystal(
            [site[0] for site in self.sites],
            [site[1:] for site in self.sites],
            spacegroup=self.group,
            setting=self.setting,
            cellpar=self.cell,
        )
        return Atoms(made.symbols, scaled_positions=made.get_scaled_positions(), cell=made.cell, pbc=True)


def _tetragonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return a, a, c, 90, 90, 90


def _hexagonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return a, a, c, 90, 90, 120


TIO2: Mapping[str, Polymorph] = {
    "rutile": Polymorph(
        136,
        _tetragonal(4.5937, 2.9587),
        [("Ti", 0, 0, 0), ("O", 0.30478, 0.30478, 0)],
        "Howard, Sabine and Dickson, Acta Cryst. B 47, 462 (1991)",
    ),
    "anatase": Polymorph(
        141,
        _tetragonal(3.7842, 9.5146),
        [("Ti", 0, 0, 0), ("O", 0, 0, 0.2081)],
        "Horn, Schwerdtfeger and Meagher, Z. Kristallogr. 136, 273 (1972)",
    ),
    "brookite": Polymorph(
        61,
        (9.174, 5.449, 5.138, 90, 90, 90),
        [("Ti", 0.1289, 0.0972, 0.8628), ("O", 0.0095, 0.1491, 0.1835), ("O", 0.2314, 0.1110, 0.5366)],
        "Meagher and Lager, Can. Mineral. 17, 77 (1979)",
    ),
    "columbite": Polymorph(
        60,
        (4.541, 5.493, 4.906, 90, 90, 90),
        [("Ti", 0, 0.171, 0.25), ("O", 0.286, 0.376, 0.412)],
        "Grey et al., Mater. Res. Bull. 23, 743 (1988); also called TiO2-II",
    ),
    # (The coordinates are rounded to what starts a relaxation.)
    "TiO2(B)": Polymorph(
        12,
        (12.1787, 3.7412, 6.5249, 90, 107.054, 90),
        [
            ("Ti", 0.20, 0, 0.29),
            ("Ti", 0.10, 0, 0.71),
            ("O", 0.13, 0, 0.00),
            ("O", 0.26, 0, 0.65),
            ("O", 0.36, 0, 0.30),
            ("O", 0.06, 0, 0.37),
        ],
        "Feist and Davies, J. Solid State Chem. 101, 275 (1992)",
    ),
}

SIO2: Mapping[str, Polymorph] = {
    "α-quartz": Polymorph(
        154,
        _hexagonal(4.916, 5.4054),
        # (The source has its origin a third of c away from that of the International Tables.)
        [("Si", 0.4697, 0, 2 * _THIRD), ("O", 0.4135, 0.2669, 0.1191 + 2 * _THIRD)],
        "Levien, Prewitt and Weidner, Am. Mineral. 65, 920 (1980)",
    ),
    "β-quartz": Polymorph(
        180,
        _hexagonal(4.9965, 5.4570),
        [("Si", 0.5, 0, 0), ("O", 0.4152, 0.2076, _THIRD / 2)],
        "Kihara, Eur. J. Mineral. 2, 63 (1990), at 848 K",
    ),
    "α-cristobalite": Polymorph(
        92,
        _tetragonal(4.9717, 6.9223),
        [("Si", 0.3003, 0.3003, 0), ("O", 0.2392, 0.1044, 0.1787)],
        "Downs and Palmer, Am. Mineral. 79, 9 (1994)",
    ),
    "β-cristobalite": Polymorph(
        227,
        (7.13, 7.13, 7.13, 90, 90, 90),
        [("Si", 0, 0, 0), ("O", 0.125, 0.125, 0.125)],
        "Wright and Leadbetter, Phil. Mag. 31, 1391 (1975), the ideal structure, at 573 K",
    ),
    "tridymite": Polymorph(
        194,
        _hexagonal(5.052, 8.27),
        [("Si", _THIRD, 2 * _THIRD, 0.062), ("O", _THIRD, 2 * _THIRD, 0.25), ("O", 0.5, 0, 0)],
        "Kihara, Z. Kristallogr. 148, 237 (1978), the hexagonal form, at 733 K",
    ),
    "coesite": Polymorph(
        15,
        (7.1356, 12.3692, 7.1736, 90, 120.34, 90),
        [
            ("Si", 0.14033, 0.10833, 0.07227),
            ("Si", 0.50682, 0.15799, 0.54077),
            ("O", 0, 0, 0),
            ("O", 0.5, 0.1163, 0.75),
            ("O", 0.2660, 0.1234, 0.9401),
            ("O", 0.3114, 0.1038, 0.3282),
            ("O", 0.0172, 0.2117, 0.4782),
        ],
        "Levien and Prewitt, Am. Mineral. 66, 324 (1981)",
    ),
    "stishovite": Polymorph(
        136,
        _tetragonal(4.1801, 2.6678),
        [("Si", 0, 0, 0), ("O", 0.3067, 0.3067, 0)],
        "Ross et al., Am. Mineral. 75, 739 (1990)",
    ),
    # (The glycol in its cages is left out.)
    "sodalite": Polymorph(
        229,
        (8.83, 8.83, 8.83, 90, 90, 90),
        [("Si", 0.25, 0.5, 0), ("O", 0.353, 0.353, 0)],
        "Richardson et al., J. Phys. Chem. 92, 243 (1988), the framework of silica sodalite (SOD)",
    ),
}

POLYMORPHS: Mapping[str, Polymorph] = {**TIO2, **SIO2}
# Forms of high temperature, which symmetry may hold where there is no minimum. Shaken, they are free to go.
SHAKEN = ("β-quartz", "β-cristobalite", "tridymite")
_SHAKE = 0.05  # Å


def candidates() -> dict[str, Atoms]:
    """All crystals by their names, those of high temperature once more with every atom off its site."""
    found = {name: one.atoms() for name, one in POLYMORPHS.items()}
    for seed, name in enumerate(SHAKEN):
        shaken = found[name].copy()
        shaken.rattle(_SHAKE, seed=seed)
        found[f"{name}, shaken"] = shaken
    return found
