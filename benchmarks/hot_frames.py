"""Labelled frames of a molecule at a temperature that it was not trained at: `python -m benchmarks.hot_frames FRAMES`.

How a potential does on hotter frames than it has seen cannot be told from the frames it has. This makes such frames, as
those of acetylacetone in BOTNet-datasets were made: molecular dynamics with GFN2-xTB, and for what it passes through
energy and forces by PBE-D3(BJ)/def2-SVP. Those labels are of ORCA, these of PySCF, with density fitting as there; some
of the given frames are labelled again first, which tells the constant between the two programs (it is taken off) and
how exact labels of the forces are.

It needs `benchmarks/requirements-labels.txt`, in an environment of its own if you like. About a minute a frame; frames
that the file has already are kept, so that the command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin
from numpy.typing import NDArray
from pyscf import dft, gto
from tblite.ase import TBLite

# fs; hydrogen moves with periods of 10 fs.
_TIME_STEP = 0.5
# 1/fs.
_FRICTION = 0.01
# ps, until a trajectory has forgotten where it started, and between its frames.
_EQUILIBRATION, _INTERVAL = 2.0, 1.0
_FRAMES_OF_TRAJECTORY = 5


class Labels(NamedTuple):
    """eV, and [N, 3] eV/Å."""

    energy: float
    forces: NDArray[np.float64]


def main() -> None:
    arguments = _arguments()
    given = ase.io.read(arguments.frames, index=":")
    assert isinstance(given, list)
    rng = np.random.default_rng(arguments.seed)
    offset = compare([given[i] for i in rng.choice(len(given), arguments.compare, replace=False)])
    done = len(ase.io.read(arguments.out, index=":")) if arguments.out.exists() else 0
    starts = rng.choice(len(given), -(-arguments.count // _FRAMES_OF_TRAJECTORY), replace=False)
    for number, start in enumerate(starts):
        first = number * _FRAMES_OF_TRAJECTORY
        wanted = min(_FRAMES_OF_TRAJECTORY, arguments.count - first)
        if done >= first + wanted:
            continue
        hot = trajectory(given[start], arguments.temperature, wanted, arguments.seed + number)
        for index, atoms in enumerate(hot, start=first):
            if index >= done:
                energy, forces = labels(atoms)
                atoms.calc = SinglePointCalculator(atoms, energy=energy - offset, forces=forces)
                ase.io.write(arguments.out, atoms, format="extxyz", append=True)
                _say(f"{index + 1} of {arguments.count}: {energy - offset:.4f} eV")


def compare(frames: list[Atoms]) -> float:
    """Label frames that have labels, say how far both are apart, and return the mean difference of energies, eV."""
    differences, errors = [], []
    for atoms in frames:
        energy, forces = labels(atoms)
        differences.append(energy - atoms.get_potential_energy())
        errors.append(forces - atoms.get_forces())
    offset = float(np.mean(differences))
    _say(
        f"{len(frames)} frames labelled again: energies differ by {1000 * offset:.2f} meV, which is taken off, and "
        f"by {1000 * np.std(differences):.2f} meV about it; "
        f"forces by {1000 * np.sqrt(np.mean(np.square(errors))):.1f} meV/Å"
    )
    return offset


def trajectory(start: Atoms, temperature: float, count: int, seed: int) -> list[Atoms]:
    """Frames of one trajectory of GFN2-xTB at a temperature, K."""
    rng = np.random.default_rng(seed)
    atoms = start.copy()
    atoms.info, atoms.calc = {"config_type": f"{temperature:g}K_MD"}, TBLite(method="GFN2-xTB", verbosity=0)
    spread = np.sqrt(units.kB * temperature * atoms.get_masses())[:, None]
    atoms.set_momenta(spread * rng.normal(size=(len(atoms), 3)))
    # (What drifts or turns as a whole has the same energy and turned forces.)
    md = Langevin(
        atoms,
        _TIME_STEP * units.fs,
        temperature_K=temperature,
        friction=_FRICTION / units.fs,
        fixcm=False,
        rng=rng,
    )
    frames = []
    md.run(round(1000 * _EQUILIBRATION / _TIME_STEP))
    for _ in range(count):
        md.run(round(1000 * _INTERVAL / _TIME_STEP))
        frame = Atoms(atoms.numbers, atoms.positions, cell=start.cell, pbc=start.pbc)
        frame.info = dict(atoms.info)
        frames.append(frame)
    return frames


def labels(atoms: Atoms) -> Labels:
    """PBE-D3(BJ)/def2-SVP.

    Raises:
        RuntimeError: the density did not converge.
    """
    places = list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True))
    molecule = gto.M(atom=places, basis="def2-svp", verbose=0)
    method = dft.RKS(molecule).density_fit(auxbasis="def2-universal-jfit")
    method.xc, method.disp, method.conv_tol = "PBE", "d3bj", 1e-9
    energy = method.kernel()
    if not method.converged:
        raise RuntimeError(f"the density of {atoms.get_chemical_formula()} did not converge")
    gradient = method.nuc_grad_method().kernel()
    return Labels(energy * units.Hartree, -gradient * units.Hartree / units.Bohr)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hot_frames", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("frames", type=Path, help="labelled frames of the molecule, acac/train_300K.xyz")
    parser.add_argument("--temperature", type=float, default=600.0, help="K (600)")
    parser.add_argument("--count", type=int, default=50, help="frames to make (50)")
    parser.add_argument("--compare", type=int, default=3, help="given frames to label again (3)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of velocities and of the frames to start from (0)"
    )
    parser.add_argument("--out", type=Path, default=Path("hot.xyz"), help="where they go (hot.xyz)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
