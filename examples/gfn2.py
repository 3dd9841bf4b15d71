"""Labels by GFN2-xTB, and thermal frames of molecules on its energy surface, by the program tblite.

    pip install 'cynosure[labels]'

Units are those of ASE: eV, eV/Å, e Å (dipole), e (charges), K, fs. GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory
Comput. 15, 1652 (2019); it is a tight-binding method, fast and of useful accuracy.

One calculator serves all structures of a molecule, one after the other: each starts from the wavefunction of the one
before, which is near in molecular dynamics. Threads gain nothing for a few atoms: run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin
from ase.optimize import BFGS

# Of tblite's own limits for self-consistency: forces are then good to 1e-6 eV/Å, for a tenth more time.
_ACCURACY = 0.01
# fs; hydrogen moves with periods of 9 fs and more.
STEP = 0.5
# 1/fs, of the thermostat.
FRICTION = 0.01


def calculator(charge: float = 0.0, **settings: Any) -> Calculator:
    """The ASE calculator of GFN2-xTB: energy, forces, dipole and charges.

    Args:
        charge: e, of the whole molecule.
        settings: more for `tblite.ase.TBLite`, such as `solvation`.

    Raises:
        ModuleNotFoundError: tblite is not installed.
    """
    try:
        from tblite.ase import TBLite
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "labels by GFN2-xTB need the program tblite: pip install 'cynosure[labels]'"
        ) from error
    return TBLite(method="GFN2-xTB", accuracy=_ACCURACY, verbosity=0, charge=charge, **settings)


def labelled(atoms: Atoms, calc: Calculator, *, charges: bool = False, centre: bool = False) -> Atoms:
    """A copy of a structure, at rest, with its labels as results: energy (eV), forces (eV/Å), dipole (e Å).

    (The dipole of a charged molecule depends on the origin, that of a neutral one does not.)

    Args:
        atoms: the structure.
        calc: of `calculator`; what it has computed of this structure already is not computed again.
        charges: Mulliken charges (e) too.
        centre: whether the copy has its centre of mass at the origin.
    """
    names = ("energy", "forces", "dipole", *(("charges",) if charges else ()))
    # (Copies: a calculator may use its arrays again.)
    results = {name: copy(calc.get_property(name, atoms)) for name in names}
    frame = Atoms(atoms.numbers, atoms.positions)
    if centre:
        frame.positions -= frame.get_center_of_mass()
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


def label(frames: Iterable[Atoms], *, charge: float = 0.0, charges: bool = False) -> list[Atoms]:
    """Labelled copies of structures, in their order; see `labelled`."""
    calc = calculator(charge)
    return [labelled(atoms, calc, charges=charges) for atoms in frames]


def relaxed(atoms: Atoms, *, charge: float = 0.0, fmax: float = 1e-4, steps: int = 1000) -> Atoms:
    """The nearest minimum of the energy, centred, with labels.

    Args:
        atoms: where to start.
        charge: e, of the whole molecule.
        fmax: largest force on an atom, eV/Å.
        steps: at most.

    Raises:
        RuntimeError: the minimum was not reached.
    """
    moving, calc = atoms.copy(), calculator(charge)
    moving.calc = calc
    if not BFGS(moving, logfile=None).run(fmax=fmax, steps=steps):  # pyright: ignore[reportArgumentType]
        raise RuntimeError(f"{moving.get_chemical_formula()} did not come to rest in {steps} steps")
    return labelled(moving, calc, centre=True)


def sample(
    atoms: Atoms,
    temperature: float,
    frames: int,
    seed: int | Sequence[int],
    *,
    apart: float = 50.0,
    settle: float = 1000.0,
    charge: float = 0.0,
    charges: bool = False,
    watch: Callable[[Atoms], None] | None = None,
) -> list[Atoms]:
    """Labelled frames of one chain: Langevin dynamics at a temperature, a frame every so often.

    Chains with seeds of their own are independent, so that a test set is one of chains of its own.

    Args:
        atoms: where the chain starts, best a minimum.
        temperature: K.
        frames: their number.
        seed: of velocities and thermostat.
        apart: fs between frames.
        settle: fs before the first interval, for the start to be forgotten.
        charge: e, of the whole molecule.
        charges: whether frames have charges too.
        watch: called with each frame; what it raises (a bond is broken, say) ends the chain.
    """
    rng = np.random.default_rng(seed)
    moving, calc = atoms.copy(), calculator(charge)
    moving.calc = calc
    spread = np.sqrt(units.kB * temperature * moving.get_masses())[:, None]
    moving.set_momenta(spread * rng.normal(size=(len(moving), 3)))
    motion = Langevin(
        moving,
        STEP * units.fs,
        temperature_K=temperature,
        friction=FRICTION / units.fs,
        fixcm=False,  # (what drifts as a whole has the same energy, and is centred below)
        rng=rng,
    )
    motion.run(round(settle / STEP))
    found = []
    for _ in range(frames):
        motion.run(round(apart / STEP))
        frame = labelled(moving, calc, charges=charges, centre=True)
        if watch is not None:
            watch(frame)
        found.append(frame)
    return found
