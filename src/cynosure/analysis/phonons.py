"""The phonons of a crystal, by finite displacements in a supercell; phonopy does the lattice dynamics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.cell import Cell
from numpy.typing import NDArray

from cynosure.analysis.crystal import DEFAULT_FMAX, OnProgress, at_rest, tell
from cynosure.analysis.phonon_result import IMAGINARY, Bands, Density, Lowest, Phonons, SumRule
from cynosure.analysis.thermal import thermal

if TYPE_CHECKING:
    from phonopy import Phonopy

# Along the whole path.
_PATH_POINTS = 300
# The mesh holds this length along each vector, Å: its points are 2π/60 Å⁻¹ apart. Silicon's free energy is then exact
# to 0.1 meV per atom at 1000 K. Without symmetry the density takes most of the time, which goes with the cube of this.
_MESH_LENGTH = 60.0
_DENSITY_POINTS = 300
_TEMPERATURES = np.linspace(0.0, 1000.0, 101, dtype=np.float64)
# The sum rule and the symmetry of the matrix are put in by turns; each spoils the other less than the time before.
_TURNS = 10


def phonons(
    calculator: BaseCalculator,
    atoms: Atoms,
    length: float = 10.0,
    supercell: tuple[int, int, int] | None = None,
    displacement: float = 0.01,
    relax: bool = True,
    fmax: float = DEFAULT_FMAX,
    steps: int = 500,
    on_progress: OnProgress | None = None,
) -> Phonons:
    """Frequencies along the path between the points of high symmetry, their density, and what follows from them.

    1. Relax the crystal, if wanted.
    2. Repeat it to a supercell. Displace, one at a time, the atoms that the symmetry of the crystal does not make
       equal, in both directions where these differ, so that forces at rest cancel. The forces over the displacement
       are the force constants.
    3. A crystal that is moved as a whole feels no force: the sum of the force constants of an atom vanishes. Measure
       how far this is true, then enforce it.
    4. Frequencies of the primitive cell: at Γ, along the path (that of Setyawan and Curtarolo, Comput. Mater. Sci. 49,
       299 (2010), as ASE has it), and on a mesh.

    Args:
        calculator: any calculator of ASE that knows forces and stress.
        atoms: the crystal; it is not changed. Its constraints are dropped.
        length: least length of the supercell along each of its vectors, Å.
        supercell: repetitions along each vector, instead.
        displacement: Å.
        relax: relax atoms and cell first.
        fmax: largest force to leave, eV/Å.
        steps: give the relaxation up after so many steps.
        on_progress: hears of every supercell.

    Raises:
        ValueError: phonopy is not installed, it is no crystal, or settings make no sense.
    """
    phonopy_class = _phonopy()
    if not (displacement > 0 and math.isfinite(displacement)):
        raise ValueError(f"the displacement is {displacement} Å; a positive length was expected")
    if supercell is None and not (length > 0 and math.isfinite(length)):
        raise ValueError(f"the length is {length} Å; a positive length was expected (--length)")
    if supercell is not None and min(supercell) < 1:
        raise ValueError(f"the supercell is {list(supercell)}; three numbers from 1 on were expected")
    rest = at_rest(calculator, atoms, relax, fmax, steps, on_progress)
    repeats = repetitions(rest.atoms, length) if supercell is None else supercell
    dynamics = _dynamics(phonopy_class, rest.atoms, repeats)
    dynamics.generate_displacements(distance=displacement)
    dynamics.forces = _forces(dynamics, calculator, on_progress)
    dynamics.produce_force_constants(show_drift=False)
    before = _sum_rule(dynamics)
    dynamics.symmetrize_force_constants(level=_TURNS, show_drift=False)
    tell(on_progress, 0.95, "frequencies")
    bands = _bands(dynamics)
    points, frequencies, weights = _mesh(dynamics)
    return Phonons(
        rest=rest,
        supercell=repeats,
        supercell_atoms=len(dynamics.supercell),
        displacement=displacement,
        displacements=len(dynamics.supercells_with_displacements or ()),
        primitive=_atoms(dynamics.primitive),
        sum_rule=(before, _sum_rule(dynamics)),
        gamma=_at(dynamics, np.zeros((1, 3)))[0],
        bands=bands,
        density=_density(dynamics, frequencies),
        mesh=_mesh_numbers(dynamics),
        lowest=_lowest(dynamics, bands, points, frequencies),
        imaginary=float(weights @ (frequencies < IMAGINARY).mean(axis=1)) / float(weights.sum()),
        thermal=thermal(frequencies, weights, _TEMPERATURES),
        dynamics=dynamics,
    )


def repetitions(atoms: Atoms, length: float) -> tuple[int, int, int]:
    """How often a cell must be repeated along each of its vectors to be so long, in Å, along each."""
    a, b, c = (max(1, math.ceil(length / edge - 1e-6)) for edge in atoms.cell.lengths())
    return a, b, c


def parse_supercell(text: str | None) -> tuple[int, int, int] | None:
    """What a user asks for as `2,2,2`; None stays None.

    Raises:
        ValueError: a text that is not three numbers from 1 on.
    """
    if text is None:
        return None
    try:
        a, b, c = (int(part) for part in text.split(","))
    except ValueError:
        a = b = c = 0
    if min(a, b, c) < 1:
        raise ValueError(f"'{text}' is no supercell; write three numbers from 1 on, like --supercell 2,2,2")
    return a, b, c


def longer(found: Phonons) -> tuple[str, str]:
    """The option that makes the supercell longer by one repetition along each vector."""
    return "--supercell", ",".join(str(n + 1) for n in found.supercell)


def _phonopy() -> type[Phonopy]:
    try:
        from phonopy import Phonopy
    except ImportError:
        raise ValueError(
            "phonons need phonopy, which is not installed: pip install 'cynosure[phonons]', or pip install phonopy"
        ) from None
    return Phonopy


def _dynamics(phonopy_class: type[Phonopy], atoms: Atoms, repeats: Sequence[int]) -> Phonopy:
    """phonopy's object for a crystal, whose primitive cell it finds by the symmetry."""
    import warnings

    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(wrap=False),
        masses=atoms.get_masses(),
    )
    with warnings.catch_warnings():
        # It warns that the primitive cell is smaller than the cell: just what is wanted.
        warnings.simplefilter("ignore")
        return phonopy_class(cell, supercell_matrix=np.diag(repeats), primitive_matrix="auto")


def _forces(
    dynamics: Phonopy, calculator: BaseCalculator, on_progress: OnProgress | None
) -> NDArray[np.float64]:
    """[D, N, 3] eV/Å, of each displaced supercell."""
    displaced = [cell for cell in dynamics.supercells_with_displacements or () if cell is not None]
    found = []
    for done, cell in enumerate(displaced):
        words = f"displacement {done + 1} of {len(displaced)}"
        tell(on_progress, 0.95 * done / len(displaced), f"{len(cell)} atoms, {words}")
        atoms = _atoms(cell)
        atoms.calc = calculator
        found.append(atoms.get_forces())
        if not np.isfinite(found[-1]).all():
            raise ValueError(f"{words}: a force is not finite; start from a structure nearer to rest")
    return np.array(found)


def _atoms(cell: Any) -> Atoms:
    """A cell of phonopy as ASE has it."""
    return Atoms(
        symbols=cell.symbols,
        cell=cell.cell,
        scaled_positions=cell.scaled_positions,
        masses=cell.masses,
        pbc=True,
    )


def _at(dynamics: Phonopy, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies [Q, 3N], THz, imaginary ones negative, at points [Q, 3] in primitive reciprocal vectors."""
    dynamics.run_qpoints(points)
    found = dynamics.qpoints
    assert found is not None, "run_qpoints has just made them"
    return np.array(found.frequencies, dtype=np.float64)


def _sum_rule(dynamics: Phonopy) -> SumRule:
    """How far the crystal is from feeling nothing when it moves as a whole."""
    constants = np.asarray(dynamics.force_constants)
    at_gamma = _at(dynamics, np.zeros((1, 3)))[0]
    acoustic = np.sort(np.abs(at_gamma))[:3]
    return SumRule(float(np.abs(constants.sum(axis=1)).max()), float(acoustic.max()))


def _bands(dynamics: Phonopy) -> Bands:
    path = Cell(dynamics.primitive.cell).bandpath(npoints=_PATH_POINTS, eps=1e-3)
    x, ticks, labels = path.get_linear_kpoint_axis()
    names = tuple("Γ" if label == "G" else label for label in labels)
    points = np.asarray(path.kpts)
    return Bands(path.path.replace("G", "Γ"), points, x, _at(dynamics, points), ticks, names)


def _mesh(dynamics: Phonopy) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points [Q, 3], frequencies [Q, 3N] (THz) and weights [Q] of a regular mesh, reduced by symmetry."""
    dynamics.run_mesh(_MESH_LENGTH)
    mesh: Any = dynamics.mesh
    return np.array(mesh.qpoints), np.array(mesh.frequencies), np.array(mesh.weights, dtype=np.float64)


def _mesh_numbers(dynamics: Phonopy) -> tuple[int, int, int]:
    mesh: Any = dynamics.mesh
    a, b, c = (int(n) for n in mesh.mesh_numbers)
    return a, b, c


def _density(dynamics: Phonopy, frequencies: NDArray[np.float64]) -> Density:
    """By the tetrahedron method, from the mesh that was run last."""
    room = 0.03 * float(np.ptp(frequencies))
    low, high = float(frequencies.min()) - room, float(frequencies.max()) + room
    dynamics.run_total_dos(freq_min=low, freq_max=high, freq_pitch=(high - low) / _DENSITY_POINTS)
    total: Any = dynamics.total_dos
    return Density(np.array(total.frequency_points), np.array(total.dos))


def _lowest(
    dynamics: Phonopy, bands: Bands, points: NDArray[np.float64], frequencies: NDArray[np.float64]
) -> Lowest:
    """The lowest frequency of all, and where it is. The path wins a tie, since its points have names."""
    on_path, on_mesh = bands.frequencies.min(axis=1), frequencies.min(axis=1)
    at = int(np.argmin(on_path))
    point, frequency, where = bands.points[at], float(on_path[at]), bands.where(at)
    if on_mesh.min() < frequency - 1e-6:
        at = int(np.argmin(on_mesh))
        point, frequency, where = points[at], float(on_mesh[at]), ""
    held = holds(dynamics, point)
    return Lowest(frequency, (float(point[0]), float(point[1]), float(point[2])), where, held)


def holds(dynamics: Phonopy, point: NDArray[np.float64]) -> bool:
    """Whether the phase of a wave makes a whole number of turns along each vector of the supercell.

    Args:
        dynamics: phonopy's object.
        point: [3] in units of the reciprocal vectors of the primitive cell.
    """
    wave = np.linalg.solve(dynamics.primitive.cell, point)  # Å⁻¹, without 2π
    turns = dynamics.supercell.cell @ wave
    return bool(np.abs(turns - np.round(turns)).max() < 1e-6)
