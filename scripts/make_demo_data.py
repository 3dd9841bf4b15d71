"""Make the demonstration data: (R)-methyloxirane on the GFN2-xTB energy surface.

    pip install 'cynosure[labels]'
    OMP_NUM_THREADS=1 python scripts/make_demo_data.py          # about four minutes on one core

(R)-Methyloxirane (propylene oxide, C3H6O) is among the smallest stable chiral molecules, and the first chiral
molecule found in interstellar space. What the script does:

1. build the molecule from bond lengths and angles, relax it, and verify that it is the R enantiomer;
2. run two independent Langevin trajectories at 500 K (0.5 fs steps), one for training and one for testing,
   so that no test frame is a neighbour in time of a training frame;
3. keep a frame every 100 fs, verify that its bonds and its handedness are intact, and turn it (positions and
   forces alike) onto the relaxed molecule, so that every frame stands upright;
4. write `train.xyz` and `test.xyz` as extended XYZ: positions in Å, energy in eV, forces in eV/Å.

Step 3 loses nothing, since energies do not depend on the orientation and forces turn with it. It is there for
the plain network that the demonstration compares with: on upright frames it is at its best.

Everything is seeded. Another processor may round differently and so follow another, equally valid,
trajectory. Reference for the method: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import write
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from tblite.ase import TBLite

OUT = Path(__file__).resolve().parent.parent / "src" / "cynosure" / "lab" / "demo_data"

TEMPERATURE_K = 500.0
STEP_FS = 0.5
FRICTION_PER_FS = 0.01
STEPS_BETWEEN_FRAMES = 200
EQUILIBRATION_STEPS = 10_000  # 5 ps: fifty times the relaxation time of the thermostat
FRAMES = {"train": 500, "test": 100}
SEEDS = {"train": 20240501, "test": 20240502}

# Indices into the molecule that `methyloxirane` builds.
STEREOCENTRE, RING_CARBON, OXYGEN, METHYL = 0, 1, 2, 3
BONDS = ((0, 1), (0, 2), (1, 2), (0, 3), (0, 4), (1, 5), (1, 6), (3, 7), (3, 8), (3, 9))
# Å: a bond longer than this is broken, with and without a hydrogen atom in it.
LONGEST_BOND_H, LONGEST_BOND = 1.5, 2.1


def methyloxirane() -> Atoms:
    """(R)-methyloxirane from textbook bond lengths and angles: C*, CH2, O, CH3, then six hydrogens."""
    cc_ring, co, cc, ch = 1.47, 1.43, 1.50, 1.09
    centre = np.zeros(3)
    ring = np.array([cc_ring, 0.0, 0.0])
    oxygen = np.array([cc_ring / 2, np.sqrt(co**2 - (cc_ring / 2) ** 2), 0.0])
    up = np.array([0.0, 0.0, 1.0])

    def substituents(carbon: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors out of a ring carbon, above and below the ring, 114 degrees apart."""
        to_other, to_oxygen = other - carbon, oxygen - carbon
        outward = -to_other / np.linalg.norm(to_other) - to_oxygen / np.linalg.norm(to_oxygen)
        outward /= np.linalg.norm(outward)
        half = np.deg2rad(57.0)
        return np.cos(half) * outward + np.sin(half) * up, np.cos(half) * outward - np.sin(half) * up

    above, below = substituents(centre, ring)
    methyl = centre + cc * above
    ring_above, ring_below = substituents(ring, centre)
    # Three hydrogens on a cone around the C-C axis, at the tetrahedral angle.
    side = np.cross(above, [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    other_side = np.cross(above, side)
    cone = np.deg2rad(180.0 - 109.5)
    around = [np.cos(turn) * side + np.sin(turn) * other_side for turn in np.deg2rad([60.0, 180.0, 300.0])]
    methyl_hydrogens = [methyl + ch * (np.cos(cone) * above + np.sin(cone) * radial) for radial in around]
    ring_hydrogens = [centre + ch * below, ring + ch * ring_above, ring + ch * ring_below]
    return Atoms("CCOCH6", [centre, ring, oxygen, methyl, *ring_hydrogens, *methyl_hydrogens])


def is_r(atoms: Atoms) -> bool:
    """Whether the stereocentre is R by the Cahn-Ingold-Prelog rules.

    The priorities are O, then the ring carbon (O, H, H), then the methyl carbon (H, H, H), then H. Seen with
    the hydrogen pointing away, the first three run clockwise exactly when their triple product is negative.
    """
    position = atoms.positions
    first, second, third = (position[k] - position[STEREOCENTRE] for k in (OXYGEN, RING_CARBON, METHYL))
    return bool(np.dot(first, np.cross(second, third)) < 0)


def check_intact(atoms: Atoms, where: str) -> None:
    """Raise RuntimeError when a bond is broken or the molecule is no longer R."""
    for i, j in BONDS:
        length = atoms.get_distance(i, j)
        limit = LONGEST_BOND_H if "H" in (atoms[i].symbol, atoms[j].symbol) else LONGEST_BOND
        if length > limit:
            raise RuntimeError(f"{where}: the bond between atoms {i} and {j} is {length:.2f} Å long")
    if not is_r(atoms):
        raise RuntimeError(f"{where}: the molecule is no longer the R enantiomer")


def rotation_onto(reference: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """[3, 3] proper rotation Q minimising Σ |Q p − r|² for centred [N, 3] positions p and r (Kabsch 1976)."""
    left, _, right = np.linalg.svd(reference.T @ positions)
    handed = np.diag([1.0, 1.0, np.linalg.det(left @ right)])
    return left @ handed @ right


def upright(atoms: Atoms, reference: Atoms) -> Atoms:
    """A labelled copy of `atoms`, centred and turned onto `reference`; its forces turn with it."""
    centred = atoms.positions - atoms.positions.mean(axis=0)
    rotation = rotation_onto(reference.positions - reference.positions.mean(axis=0), centred)
    frame = Atoms(atoms.symbols, centred @ rotation.T)
    frame.info["energy"] = float(atoms.get_potential_energy())
    frame.arrays["forces"] = atoms.get_forces() @ rotation.T
    return frame


def trajectory(relaxed: Atoms, n_frames: int, seed: int, name: str) -> list[Atoms]:
    """`n_frames` labelled, upright frames of one Langevin trajectory that starts at the relaxed molecule."""
    atoms = relaxed.copy()
    atoms.calc = TBLite(method="GFN2-xTB", accuracy=0.1, verbosity=0)
    dynamics = Langevin(
        atoms,
        STEP_FS * units.fs,
        temperature_K=TEMPERATURE_K,
        friction=FRICTION_PER_FS / units.fs,
        rng=np.random.default_rng(seed),
        fixcm=False,  # frames are centred afterwards; the exact thermostat is worth more
    )
    dynamics.run(EQUILIBRATION_STEPS)
    frames: list[Atoms] = []
    for n in range(n_frames):
        dynamics.run(STEPS_BETWEEN_FRAMES)
        check_intact(atoms, f"{name} frame {n}")
        frames.append(upright(atoms, relaxed))
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demonstration data (see the top of this script).")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write train.xyz and test.xyz to")
    out: Path = parser.parse_args().out

    molecule = methyloxirane()
    molecule.calc = TBLite(method="GFN2-xTB", accuracy=0.1, verbosity=0)
    BFGS(molecule, logfile=None).run(fmax=1e-4, steps=500)
    check_intact(molecule, "the relaxed molecule")
    molecule.positions -= molecule.positions.mean(axis=0)

    out.mkdir(parents=True, exist_ok=True)
    for name, count in FRAMES.items():
        frames = trajectory(molecule, count, SEEDS[name], name)
        path = out / f"{name}.xyz"
        write(path, frames, format="extxyz")
        energies = np.array([frame.info["energy"] for frame in frames])
        forces = np.concatenate([frame.arrays["forces"] for frame in frames])
        force_rms = np.sqrt((forces**2).mean())
        print(
            f"{path.name}: {count} frames, {path.stat().st_size / 1e3:.0f} kB, "
            f"energy std {energies.std():.3f} eV, force rms {force_rms:.3f} eV/Å"
        )


if __name__ == "__main__":
    main()
