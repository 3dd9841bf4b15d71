"""Hot frames: the constant between two programs is taken off, and what is there already is not made again."""

from __future__ import annotations

import sys
from types import ModuleType

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

OFFSET = 0.25


@pytest.fixture
def hot_frames(benchmark, monkeypatch):
    """The module, with effective-medium theory in place of the two programs that it needs."""
    pyscf, tblite = ModuleType("pyscf"), ModuleType("tblite.ase")
    pyscf.dft = pyscf.gto = None
    tblite.TBLite = lambda **_: EMT()
    for name, module in {"pyscf": pyscf, "tblite": ModuleType("tblite"), "tblite.ase": tblite}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "benchmarks.hot_frames", raising=False)
    return benchmark("hot_frames")


def labelled(atoms):
    copy = atoms.copy()
    copy.calc = EMT()
    return copy.get_potential_energy(), copy.get_forces()


def test_frames_are_labelled_shifted_and_not_made_twice(hot_frames, monkeypatch, tmp_path, capsys):
    given, out, made = tmp_path / "frames.xyz", tmp_path / "hot.xyz", []
    for seed in range(4):
        atoms = ase.build.molecule("C2H2")
        atoms.rattle(0.02, seed=seed)
        energy, forces = labelled(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=energy - OFFSET, forces=forces)
        ase.io.write(given, atoms, append=True)

    def labels(atoms):
        made.append(len(atoms))
        return hot_frames.Labels(*labelled(atoms))

    monkeypatch.setattr(hot_frames, "labels", labels)
    monkeypatch.setattr(hot_frames, "_EQUILIBRATION", 0.005)
    monkeypatch.setattr(hot_frames, "_INTERVAL", 0.002)
    for count in (2, 7):
        arguments = ["hot_frames", str(given), "--count", str(count), "--compare", "2", "--out", str(out)]
        monkeypatch.setattr(sys, "argv", arguments)
        hot_frames.main()
    frames = ase.io.read(out, ":")
    assert len(frames) == 7
    assert len(made) == 2 + 2 + 2 + 5  # compared twice; made twice, then five more
    assert len({np.round(frame.positions, 8).tobytes() for frame in frames}) == 7
    for frame in frames:
        energy, forces = labelled(frame)
        assert frame.get_potential_energy() == pytest.approx(energy - OFFSET, abs=1e-6)
        np.testing.assert_allclose(frame.get_forces(), forces, atol=1e-6)
        assert frame.info["config_type"] == "600K_MD"
    assert "differ by 250.00 meV" in capsys.readouterr().err
