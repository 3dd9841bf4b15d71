"""How exact the labels of a crystal's frames are, from the data alone: `python -m benchmarks.label_noise FRAMES`.

A label cannot be checked against the truth, but it can be checked against other labels that physics ties it to:

1. The forces of a frame sum to zero; noise of s on each component would leave s√N.
2. Forces and stress of a frame have its symmetry, which is found by trying every operation of its lattice. A stress
   that has it only after its shear components change places was written in another order.
3. Frames that are copies of each other by a rotation or a reflection have one energy, one set of force lengths, and
   the same principal stresses.
4. The energy is smooth along a strain E, and its derivative is V₀ S, with S the second Piola-Kirchhoff stress. What is
   left of a polynomial is noise, the jumps of a basis set that changes with the cell included.
5. Near a minimum the energy is half the work of the forces, E − E₀ ≈ −½ Σ F·u. A straight line through thermal frames
   meets E₀ unless the two kinds of frames were computed differently, and the scatter about it bounds both labels.

With `--model`, stresses of frames without symmetry are compared with those of a model that turns with its structure
(any of ours does), hence cannot learn an order that is not that of the axes.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.units import GPa
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from benchmarks.elastic import NO_STRAIN, ground_state, strain
from cynosure.analysis.strain import piola_kirchhoff

Array = NDArray[np.float64]
# Places that the shear components may have been written to, by name: what stands where ASE has yz, xz, xy.
ORDERS = {
    " ".join(("yz", "xz", "xy")[place] for place in places): [0, 1, 2, *(3 + place for place in places)]
    for places in itertools.permutations(range(3))
}
AS_LABELLED = "yz xz xy"
_SAME_SPOT = 1e-3  # Å
_SAME_DISTANCES = 1e-5  # Å
_DEGREE = 6  # of polynomials along a strain
_CRYSTALLINE = 0.060  # eV per atom: thermal frames above this are too far from harmonic


@dataclass(frozen=True)
class Group:
    """Root mean square disagreements of the frames of a group, eV, eV/Å and eV/Å³; NaN where nothing can be compared.

    Attributes:
        net_force: component of the sum of forces, over √N.
        symmetric: how many frames have a symmetry.
        forces, forces_max: between forces that symmetry makes equal, and the largest such difference.
        stress: between a stress and itself turned, for each order of its shear components.
        copies: how many pairs of frames are copies.
        copied: energy per atom, force lengths and principal stresses between copies.
    """

    frames: int
    net_force: float
    symmetric: int
    forces: float
    forces_max: float
    stress: Mapping[str, float]
    copies: int
    copied: tuple[float, float, float]


@dataclass(frozen=True)
class StrainPath:
    """Energies along one component of the strain: root mean square and largest, eV per atom.

    Attributes:
        residual: of a polynomial through the energies.
        work: between the energies and the integrated stress.
    """

    residual: tuple[float, float]
    work: tuple[float, float]


@dataclass(frozen=True)
class Offset:
    """The line through thermal frames: eV per atom, and eV/Å.

    Attributes:
        energy, error: where it meets no displacement, above the crystal, and the standard error of that.
        scatter: about the line.
        force: noise on every force component that would make all of the scatter.
    """

    frames: int
    energy: float
    error: float
    scatter: float
    force: float


def main() -> None:
    arguments = _arguments()
    frames = ase.io.read(arguments.frames, index=":")
    assert isinstance(frames, list)
    named: dict[str, list[Atoms]] = {}
    for frame in frames:
        named.setdefault(frame.info.get("group", "all"), []).append(frame)
    groups = {name: consistency(members) for name, members in named.items()}
    print("\n".join(table(groups)) + "\n")
    strained = named.get(arguments.strained, [])
    paths = strain_paths(strained) if strained else {}
    for kind, path in paths.items():
        print(
            f"Energies along {kind} strains: {1000 * path.residual[0]:.3f} meV/atom from a polynomial of degree "
            f"{_DEGREE} (at most {1000 * path.residual[1]:.3f}), {1000 * path.work[0]:.3f} from the work of the "
            f"stress (at most {1000 * path.work[1]:.3f})."
        )
    line = None
    if strained and arguments.thermal in named:
        crystal = ground_state(strained)
        line = offset(crystal, named[arguments.thermal])
    if line is not None:
        print(
            f"Against the work of their forces, {line.frames} thermal frames start {1000 * line.energy:+.2f} ± "
            f"{1000 * line.error:.2f} meV/atom above the crystal and scatter by {1000 * line.scatter:.2f} meV/atom, "
            f"as noise of {line.force:.3f} eV/Å on each force component would make them do at most."
        )
    if arguments.model is not None:
        print("\n" + "\n".join(against_model(named, arguments.model)))
    print("\n" + "\n".join(verdict(groups, paths, line)))


def consistency(frames: Sequence[Atoms]) -> Group:
    """What the frames of a group say of themselves and of each other (checks 1 to 3)."""
    net = [frame.get_forces().sum(0) / np.sqrt(len(frame)) for frame in frames]
    symmetric, forces = 0, []
    stresses: dict[str, list[Array]] = {order: [] for order in ORDERS}
    for frame in frames:
        # All but the identity, which says nothing.
        operations = [pair for pair in symmetry(frame) if not _identity(*pair)]
        if not operations:
            continue
        symmetric += 1
        own = frame.get_forces()
        forces.append(np.concatenate([own[image] - own @ turn for turn, image in operations]))
        turns = {tuple(np.round(turn, 4).ravel()): turn for turn, _ in operations}
        for order, places in ORDERS.items():
            stress = _matrix(frame.get_stress()[places])
            stresses[order].append(
                np.array([_rms(stress - turn.T @ stress @ turn) for turn in turns.values()])
            )
    pairs = list(copies(frames))
    return Group(
        len(frames),
        _rms(net),
        symmetric,
        _rms([_rms(differences) for differences in forces]),
        max((float(np.abs(differences).max()) for differences in forces), default=np.nan),
        {order: _rms(np.concatenate(values)) if values else np.nan for order, values in stresses.items()},
        len(pairs),
        (
            _rms([a.get_potential_energy() / len(a) - b.get_potential_energy() / len(b) for a, b in pairs]),
            _rms([_lengths(a) - _lengths(b) for a, b in pairs]),
            _rms([_principal(a) - _principal(b) for a, b in pairs]),
        ),
    )


def symmetry(frame: Atoms) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """The operations that leave a periodic structure as it is, translations by less than its cell included.

    Every integer matrix of entries −1, 0, 1 that keeps the metric of the cell is tried with every translation that
    takes the first atom to another.

    Yields:
        The rotation Q, [3, 3], which takes a row vector v to vQ, and for each atom the one it is taken to, [N].
    """
    cell, scaled = frame.cell.array, frame.get_scaled_positions()
    metric = cell @ cell.T
    kept = np.abs(_UNIMODULAR @ metric @ _UNIMODULAR.transpose(0, 2, 1) - metric).max((1, 2))
    for matrix in _UNIMODULAR[kept < _SAME_SPOT * np.sqrt(metric.max())]:
        turned = scaled @ matrix
        for target in scaled:
            moved = turned + (target - turned[0])
            # (The second atom alone rejects most.)
            if _distances(moved[1:2], scaled, cell).min() > _SAME_SPOT:
                continue
            distances = _distances(moved, scaled, cell)
            if distances.min(axis=1).max() < _SAME_SPOT:
                yield np.linalg.solve(cell, matrix @ cell), distances.argmin(axis=1)


def copies(frames: Sequence[Atoms]) -> Iterator[tuple[Atoms, Atoms]]:
    """Pairs of frames with the same set of distances between atoms."""
    distances = [np.sort(frame.get_all_distances(mic=True), axis=None) for frame in frames]
    for first, second in itertools.combinations(range(len(frames)), 2):
        a, b = distances[first], distances[second]
        if len(a) == len(b) and np.abs(a - b).max() < _SAME_DISTANCES:
            yield frames[first], frames[second]


def strain_paths(frames: Sequence[Atoms]) -> dict[str, StrainPath]:
    """Check 4, for frames whose strain has one component; `normal` and `shear` ones apart."""
    crystal = ground_state(frames)
    points: dict[str, list[tuple[float, float, float]]] = {"normal": [], "shear": []}
    volume = crystal.get_volume() / len(crystal)
    for frame in frames:
        gradient, strains = strain(frame, crystal)
        stress = piola_kirchhoff(gradient, frame.get_stress(voigt=False))
        energy = frame.get_potential_energy() / len(frame)
        components = np.argwhere(np.triu(np.abs(strains) > NO_STRAIN)).tolist()
        if len(components) == 0:
            points["normal"].append((0.0, energy, stress[0, 0] * volume))
            points["shear"].append((0.0, energy, 2 * stress[0, 1] * volume))
        elif len(components) == 1:
            i, j = components[0]
            kind, weight = ("normal", 1) if i == j else ("shear", 2)
            points[kind].append((float(strains[i, j]), energy, float(weight * stress[i, j] * volume)))
    paths = {}
    for kind, values in points.items():
        sizes, energies, slopes = np.array(values).T
        residual = energies - Polynomial.fit(sizes, energies, _DEGREE)(sizes)
        work = Polynomial.fit(sizes, slopes, _DEGREE).integ(lbnd=0.0)(sizes)
        missing = energies - energies[sizes == 0.0].mean() - work
        paths[kind] = StrainPath(
            (_rms(residual), float(np.abs(residual).max())), (_rms(missing), float(np.abs(missing).max()))
        )
    return paths


def offset(crystal: Atoms, frames: Sequence[Atoms]) -> Offset | None:
    """Check 5, for the frames that are the crystal but for thermal motion; None if they are fewer than three."""
    ground = crystal.get_potential_energy() / len(crystal)
    points, sizes = [], []
    for frame in frames:
        moved = displacements(frame, crystal)
        if moved is None:
            continue
        work = -0.5 * float(np.sum(frame.get_forces() * moved)) / len(frame)
        if work < _CRYSTALLINE:
            points.append((work, frame.get_potential_energy() / len(frame) - ground))
            sizes.append(np.sqrt(np.sum(moved**2)) / len(frame))
    if len(points) < 3:
        return None
    works, energies = np.array(points).T
    design = np.stack([np.ones_like(works), works], axis=1)
    line, *_ = np.linalg.lstsq(design, energies, rcond=None)
    scatter = np.sqrt(np.sum((energies - design @ line) ** 2) / (len(works) - 2))
    error = scatter * np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    force = 2 * scatter / float(np.mean(sizes))
    return Offset(len(works), float(line[0]), float(error), float(scatter), force)


def displacements(frame: Atoms, crystal: Atoms) -> Array | None:
    """[N, 3] Å from the sites of a crystal, whose origin and order of atoms may be others; None if an atom is not at a
    site of its own, or the cell is another."""
    if len(frame) != len(crystal) or not np.allclose(frame.cell, crystal.cell, atol=_SAME_SPOT):
        return None
    scaled, sites = frame.get_scaled_positions(), crystal.get_scaled_positions()
    for origin in sites:
        apart = (scaled - scaled[0])[:, None] - (sites - origin)[None]
        apart -= np.round(apart)
        nearest = np.linalg.norm(apart @ frame.cell.array, axis=2).argmin(axis=1)
        if len(set(nearest.tolist())) == len(frame):
            own = apart[np.arange(len(frame)), nearest]
            return (own - own.mean(axis=0)) @ frame.cell.array
    return None


def against_model(groups: Mapping[str, Sequence[Atoms]], model: Path) -> list[str]:
    """Markdown: root mean square of shear stresses against a model's, GPa, in each order of the labels' components."""
    import cynosure
    from cynosure.data import Frames
    from cynosure.training import evaluate
    from cynosure.training.stress_order import StressOrder

    potential = cynosure.load(model)
    lines = [f"| shear against the model, GPa | {' | '.join(ORDERS)} |", "|---" * (1 + len(ORDERS)) + "|"]
    for name, frames in groups.items():
        compared = StressOrder([name] * len(frames))
        evaluate(potential, Frames.from_atoms(list(frames)), observers=[compared])
        cells = [f"{rms / GPa:.3f}" for rms in compared.rms()[name]]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def table(groups: Mapping[str, Group]) -> list[str]:
    """Markdown: a line for each group."""
    heads = ["group", "frames", "net force, eV/Å", "with symmetry", "forces by symmetry (largest), eV/Å"]
    heads += ["stress by symmetry, GPa", "shear in another order", "copies"]
    heads += ["energy of copies, meV/atom", "forces, eV/Å", "stress, GPa"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, group in groups.items():
        energy, forces, stress = group.copied
        other = best_order(group)
        values = [name, str(group.frames), _number(group.net_force), str(group.symmetric)]
        values.append(f"{_number(group.forces)} ({_number(group.forces_max)})" if group.symmetric else "–")
        values.append(_number(group.stress[AS_LABELLED] / GPa))
        values.append("–" if other == AS_LABELLED else f"{_number(group.stress[other] / GPa)} ({other})")
        values += [str(group.copies), _number(1000 * energy), _number(forces), _number(stress / GPa)]
        lines.append("| " + " | ".join(values) + " |")
    return lines


def best_order(group: Group) -> str:
    """The order of shear components that has the frames' symmetry: as labelled, unless another is better by far."""
    if group.symmetric == 0 or group.stress[AS_LABELLED] < 0.01 * GPa:
        return AS_LABELLED
    best = min(group.stress, key=lambda order: group.stress[order])
    return best if group.stress[best] < 0.1 * group.stress[AS_LABELLED] else AS_LABELLED


def verdict(groups: Mapping[str, Group], paths: Mapping[str, StrainPath], line: Offset | None) -> list[str]:
    """In plain words: the error that a perfect model would still show."""
    words = ["A perfect model would still show:"]
    for kind, path in paths.items():
        words.append(
            f"- about {1000 * path.residual[0]:.2f} meV/atom on energies under {kind} strain, which are smooth but "
            f"for that; and if it is trained on stresses too, up to {1000 * path.work[1]:.1f} meV/atom, by which the "
            f"two disagree at large strains;"
        )
    if line is not None:
        words.append(
            f"- at most {1000 * line.scatter:.2f} meV/atom and {line.force:.3f} eV/Å on thermal frames, where motion "
            f"that is not harmonic makes part or all of this, and no more than {1000 * abs(line.energy):.2f} ± "
            f"{1000 * line.error:.2f} meV/atom between them and the strained ones;"
        )
    for name, group in groups.items():
        if group.symmetric and group.forces > 1e-6:
            words.append(
                f"- {group.forces:.4f} eV/Å (up to {group.forces_max:.3f}) between forces that symmetry makes equal in "
                f"{name};"
            )
        order = best_order(group)
        if order != AS_LABELLED:
            words.append(
                f"- a wrong shear stress in {name}: its labels have the symmetry of the structures only if what "
                f"stands for yz, xz, xy is taken from {order.replace(' ', ', ')}."
            )
    words.append(
        "Net forces and equal forces at the level of rounding say nothing: the electronic structure code imposes them."
    )
    return words


def _unimodular() -> NDArray[np.int64]:
    matrices = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return matrices[np.abs(np.round(np.linalg.det(matrices))) == 1]


_UNIMODULAR = _unimodular()


def _distances(first: Array, second: Array, cell: Array) -> Array:
    """[A, B] Å between scaled positions, for those that nearly coincide."""
    apart = first[:, None] - second[None]
    return np.linalg.norm((apart - np.round(apart)) @ cell, axis=2)


def _identity(turn: Array, image: NDArray[np.int64]) -> bool:
    return bool(np.array_equal(image, np.arange(len(image))) and np.allclose(turn, np.eye(3)))


def _matrix(voigt: Array) -> Array:
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _lengths(frame: Atoms) -> Array:
    return np.sort(np.linalg.norm(frame.get_forces(), axis=1))


def _principal(frame: Atoms) -> Array:
    return np.asarray(np.linalg.eigvalsh(frame.get_stress(voigt=False)), dtype=np.float64)


def _rms(values: Sequence[float] | Sequence[Array] | Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else np.nan


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.3f}" if value >= 0.0995 else f"{value:.1e}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_noise", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "frames", type=Path, help="labelled frames, with their `group`, of periodic structures"
    )
    parser.add_argument("--strained", default="Elastic", help="group of the strained crystal (Elastic)")
    parser.add_argument("--thermal", default="AIMD-NVT", help="group of the vibrating crystal (AIMD-NVT)")
    parser.add_argument(
        "--model", type=Path, help="a trained model to compare the order of shear stresses with"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
