"""Labels survive every file format with the right value and sign; broken files say what and where."""

import gzip
import json
import shutil

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from cynosure.data import Frames, read_frames


def labelled(strain: float = 1.0, seed: int = 0) -> Atoms:
    """Copper stretched by `strain`, with energy, forces and stress that a calculation gave."""
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell * strain, scale_atoms=True)
    atoms.rattle(0.05, seed=seed)
    atoms.calc = EMT()
    results = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "forces", "stress")}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def series() -> list[Atoms]:
    return [labelled(strain, seed) for seed, strain in enumerate((0.97, 1.0, 1.03))]


def assert_labels(frame, atoms, tolerance=1e-7):
    """The frame carries what ASE's own accessors give, without constraints."""
    np.testing.assert_allclose(frame.energy, atoms.get_potential_energy(), atol=tolerance)
    np.testing.assert_allclose(frame.forces, atoms.get_forces(apply_constraint=False), atol=tolerance)
    np.testing.assert_allclose(
        frame.stress, atoms.get_stress(voigt=False, apply_constraint=False), atol=tolerance
    )
    np.testing.assert_allclose(frame.positions, atoms.positions, atol=tolerance)
    np.testing.assert_allclose(frame.cell, atoms.cell.array, atol=tolerance)
    assert frame.atomic_numbers.tolist() == atoms.numbers.tolist()
    assert frame.pbc.tolist() == atoms.pbc.tolist()


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.traj", "a.db", "a.json", "a.extxyz.gz"])
@pytest.mark.parametrize("fixed", [[], [0, 2]], ids=["free", "constrained"])
def test_formats_keep_labels_and_constraints_zero_no_force(tmp_path, name, fixed):
    structures = series()
    for atoms in structures:
        atoms.set_constraint(FixAtoms(fixed) if fixed else None)
    ase.io.write(tmp_path / name, structures)
    if fixed:
        assert ase.io.read(tmp_path / name).constraints or not name.endswith(("traj", "db"))
    frames = read_frames(tmp_path / name)
    assert len(frames) == 3
    for frame, atoms in zip(frames, structures, strict=True):
        assert_labels(frame, atoms)
        assert np.abs(frame.forces[0]).max() > 1e-3
    assert frames.label_counts() == {"energy": 3, "forces": 3, "stress": 3}


def test_stress_is_the_strain_derivative_and_positive_under_tension(tmp_path):
    atoms = labelled(1.03)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    stress = read_frames(tmp_path / "a.extxyz")[0].stress
    assert np.trace(stress) > 0.1

    def energy(strain):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        strained.calc = EMT()
        return strained.get_potential_energy()

    for a, b in ((0, 0), (1, 2), (0, 2), (0, 1)):
        strain = np.zeros((3, 3))
        strain[a, b] += 5e-5
        strain[b, a] += 5e-5
        derivative = (energy(strain) - energy(-strain)) / 2e-4 / atoms.get_volume()
        assert stress[a, b] == pytest.approx(derivative, abs=1e-5)


@pytest.mark.parametrize("shape", ["(9,)", "(3, 3)"])
@pytest.mark.parametrize("key", ["virial", "REF_virial", "virials"])
def test_virial_becomes_stress(key, shape):
    atoms = labelled(1.03)
    virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    bare.info[key] = virial.ravel() if shape == "(9,)" else virial
    frames = Frames.from_atoms([bare])
    np.testing.assert_allclose(frames[0].stress, atoms.get_stress(voigt=False), atol=1e-12)
    assert "stress = −virial/volume" in str(frames.summary())
    named = Frames.from_atoms([bare], keys={"virial": key})
    np.testing.assert_array_equal(named[0].stress, frames[0].stress)


def test_virial_without_volume_is_no_label():
    water = molecule("H2O")
    water.info.update(energy=1.0, virial=np.eye(3))
    assert Frames.from_atoms([water]).label_counts() == {"energy": 1, "forces": 0, "stress": 0}


def test_left_handed_cell_has_positive_volume():
    atoms = Atoms("Cu", cell=np.diag([2.0, 2.0, 2.0])[[1, 0, 2]], pbc=True, info={"virial": np.eye(3)})
    np.testing.assert_allclose(Frames.from_atoms([atoms])[0].stress, -np.eye(3) / 8.0)


VASPRUN = """<?xml version="1.0"?>
<modeling>
 <kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
 <parameters><i name="NELECT">8</i></parameters>
 <atominfo><array name="atoms"><set><rc><c>Si</c><c>1</c></rc><rc><c>Si</c><c>1</c></rc></set></array></atominfo>
 <structure name="initialpos">
  <crystal><varray name="basis"><v>4 0 0</v><v>0 4 0</v><v>0 0 4</v></varray></crystal>
  <varray name="positions"><v>0 0 0</v><v>0.5 0.5 0.5</v></varray>
  <varray name="selective"><v type="logical">F F F</v><v type="logical">T T T</v></varray>
 </structure>
 {steps}
</modeling>
"""
STEP = """<calculation>
 <scstep><energy><i name="e_fr_energy">-10.5</i><i name="e_0_energy">-10.4</i></energy></scstep>
 <structure>
  <crystal><varray name="basis"><v>4 0 0</v><v>0 4 0</v><v>0 0 4</v></varray></crystal>
  <varray name="positions"><v>0 0 0</v><v>0.5 0.5 0.52</v></varray>
 </structure>
 <varray name="forces"><v>0 0 0.25</v><v>0 0 -0.25</v></varray>
 <varray name="stress"><v>100 0 0</v><v>0 -20 5</v><v>0 5 30</v></varray>
 <energy><i name="e_fr_energy">-10.5</i><i name="e_0_energy">-10.4</i></energy>
</calculation>
"""
KBAR = 1e8 * 1e-30 / 1.602176634e-19


def test_vasprun(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(VASPRUN.format(steps=STEP * 2))
    assert ase.io.read(path).constraints
    frames = read_frames(path)
    assert len(frames) == 2
    assert frames[0].energy == pytest.approx(-10.4)
    np.testing.assert_allclose(frames[1].forces, [[0, 0, 0.25], [0, 0, -0.25]])
    # VASP counts compression as positive.
    expected = -KBAR * np.array([[100, 0, 0], [0, -20, 5], [0, 5, 30]])
    np.testing.assert_allclose(frames[0].stress, expected, rtol=1e-7)
    assert "not read: free_energy" in str(frames.summary())
    assert read_frames(path, keys={"energy": "free_energy"})[0].energy == pytest.approx(-10.5)


OUTCAR = """ vasp.6.3.0
 POTCAR:    PAW_PBE Si 05Jan2001
 POTCAR:    PAW_PBE Si 05Jan2001
   ISPIN  =      1    spin polarized calculation?
   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=      8
   ions per type =               2
 k-points in reciprocal lattice and weights: Automatic
   0.00000000  0.00000000  0.00000000       1.000
--------------------------------------- Iteration      1(   1)  ---------------------------------------
  in kB     100.00000   -20.00000    30.00000     1.00000     5.00000     3.00000
      direct lattice vectors                 reciprocal lattice vectors
     4.000000000  0.000000000  0.000000000     0.250000000  0.000000000  0.000000000
     0.000000000  4.000000000  0.000000000     0.000000000  0.250000000  0.000000000
     0.000000000  0.000000000  4.000000000     0.000000000  0.000000000  0.250000000

 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
      0.00000      0.00000      0.00000         0.000000      0.000000      0.250000
      2.00000      2.00000      2.08000         0.000000      0.000000     -0.250000
 -----------------------------------------------------------------------------------
  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  =       -10.50000000 eV

  energy  without entropy=      -10.30000000  energy(sigma->0) =      -10.40000000
"""


def test_outcar(tmp_path):
    path = tmp_path / "OUTCAR"
    path.write_text(OUTCAR)
    (frame,) = read_frames(path)
    assert frame.energy == pytest.approx(-10.4)
    np.testing.assert_allclose(frame.forces, [[0, 0, 0.25], [0, 0, -0.25]])
    expected = -KBAR * np.array([[100, 1, 3], [1, -20, 5], [3, 5, 30]])  # xx yy zz xy yz zx in the file
    np.testing.assert_allclose(frame.stress, expected, rtol=1e-7)


def test_database_rows_carry_columns_of_their_own(tmp_path):
    path = tmp_path / "a.db"
    with ase.db.connect(path) as database:
        for energy in (1.0, 2.0):
            database.write(molecule("H2O"), REF_energy=energy, data={"my_forces": np.full((3, 3), energy)})
    frames = read_frames(path, keys={"forces": "my_forces"})
    assert [frame.energy for frame in frames] == [1.0, 2.0]
    np.testing.assert_array_equal(frames[1].forces, np.full((3, 3), 2.0))
    assert [frame.energy for frame in read_frames(path, index="1:")] == [2.0]


def test_a_file_is_not_written_to(tmp_path):
    for name in ("a.db", "a.extxyz", "a.traj"):
        ase.io.write(tmp_path / name, series())
        before = (tmp_path / name).read_bytes()
        read_frames(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("index", "numbers"),
    [
        (":", [0, 1, 2, 3, 4]),
        ("1", [1]),
        ("-1", [4]),
        ("-2:", [3, 4]),
        ("::2", [0, 2, 4]),
        ("1:4:2", [1, 3]),
        (":-3", [0, 1]),
        ("-9:2", [0, 1]),
        ("::-2", [4, 2, 0]),
    ],
)
def test_index_selects_and_frames_keep_their_number_in_the_file(tmp_path, index, numbers):
    structures = [Atoms("He", info={"energy": float(number)}) for number in range(5)]
    ase.io.write(tmp_path / "a.xyz", structures, format="extxyz")
    frames = read_frames(tmp_path / "a.xyz", index=index)
    assert [int(frame.energy) for frame in frames] == numbers
    assert [frame.source for frame in frames] == [f"{tmp_path / 'a.xyz'}, frame {n}" for n in numbers]


@pytest.mark.parametrize("index", ["", "x", "1:2:3:4", "::0", "1.5"])
def test_a_wrong_index_is_refused(tmp_path, index):
    ase.io.write(tmp_path / "a.xyz", Atoms("He", info={"energy": 1.0}))
    with pytest.raises(ValueError, match="does not select frames"):
        read_frames(tmp_path / "a.xyz", index=index)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.xyz \(looked in"):
        read_frames(tmp_path / "nothing.xyz")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        read_frames(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", b"", r"stopped at frame 0; UnknownFileTypeError: Empty file"),
        ("a.xyz", b"two\ncomment\nH 0 0 0\n", r"ASE cannot read .*a\.xyz \(stopped at frame 0"),
        ("a.xyz", b"2\ncomment\nH 0 0 0\n", "ASE cannot read"),
        (
            "a.xyz",
            b"1\nProperties=species:S:1:pos:R:3 energy=1.0\nH 0 0 0\n1\ncomment\nH x 0 0\n",
            "stopped at frame 1; ",
        ),
        ("a.traj", b"- of Ulm, but cut short", "ASE cannot read"),
        ("a.db", b"SQLite format 3\x00 and then nothing", "ASE cannot read"),
        ("vasprun.xml", b"<?xml version='1.0'?><modeling><unfinished>", "ASE cannot read"),
        ("a.dat", b"\x00\x01\x02\x03", "ASE cannot read"),
    ],
)
def test_a_file_that_ase_cannot_read_says_why(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_frames(tmp_path / name)
    assert caught.value.__cause__ is not None


def test_a_database_without_rows_has_no_frames(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"ids": [], "nextid": 1}))
    with pytest.raises(ValueError, match="there are no frames"):
        read_frames(tmp_path / "a.json")


def test_a_truncated_file_says_how_far_it_went(tmp_path):
    path = tmp_path / "a.xyz"
    ase.io.write(path, series(), format="extxyz")
    path.write_text("\n".join(path.read_text().splitlines()[:-2]) + "\n")
    with pytest.raises(ValueError, match=r"ASE cannot read .*\(stopped at frame 2; XYZError"):
        read_frames(path)


def test_a_compressed_file_cut_short(tmp_path):
    path = tmp_path / "a.xyz.gz"
    ase.io.write(tmp_path / "b.xyz", series() * 20, format="extxyz")
    path.write_bytes(gzip.compress((tmp_path / "b.xyz").read_bytes())[:-2000])
    with pytest.raises(ValueError, match="ASE cannot read"):
        read_frames(path)


NUMBERS = (
    "2\nProperties=species:S:1:pos:R:3:forces:R:3 energy={energy} {rest}\nH 0 0 0 0 0 0\nO 1 {y} 0 0 {f} 0\n"
)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"y": "nan"}, r"a\.xyz, frame 7: the position of atom 1 is not finite: \[1.0, nan, 0.0\]"),
        ({"y": "inf"}, r"a\.xyz, frame 7: the position of atom 1 is not finite"),
        ({"f": "nan"}, r"a\.xyz, frame 7: the force of atom 1 is not finite: \[0.0, nan, 0.0\]"),
        ({"f": "-inf"}, r"a\.xyz, frame 7: the force of atom 1 is not finite"),
        ({"energy": "nan"}, r"a\.xyz, frame 7: the energy \(calculator's 'energy'\) is not finite"),
        ({"energy": "inf"}, r"a\.xyz, frame 7: the energy"),
        ({"rest": 'stress="1 0 0 0 nan 0 0 0 1"'}, r"a\.xyz, frame 7: the stress .* is not finite"),
        ({"rest": 'Lattice="1 0 0 0 nan 0 0 0 1"'}, r"a\.xyz, frame 7: the cell .* not finite"),
        (
            {"rest": 'REF_energy="text"', "energy": ""},
            r"frame 7: label 'energy' is here under the info key 'REF_energy', but under the calc",
        ),
    ],
)
def test_numbers_that_are_not_finite_are_named(tmp_path, bad, message):
    good = {"energy": "1.0", "y": "1.0", "f": "0.5", "rest": ""}
    path = tmp_path / "a.xyz"
    wrong = NUMBERS.format(**good | bad).replace("energy= ", "")
    path.write_text(NUMBERS.format(**good) * 7 + wrong + NUMBERS.format(**good))
    with pytest.raises(ValueError, match=message):
        read_frames(path)
    with pytest.raises(ValueError, match="frame 7"):
        read_frames(path, index="3:")


def test_zero_atoms(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("1\nenergy=1.0\nH 0 0 0\n0\nenergy=0.0\n")
    with pytest.raises(ValueError, match=r"a\.xyz, frame 1: the structure has no atoms"):
        read_frames(path)
    with pytest.raises(ValueError, match="structures, frame 0: the structure has no atoms"):
        Frames.from_atoms([Atoms()])


@pytest.mark.parametrize("limit", [0, 1, 5_000, 10**9])
def test_frames_on_disk_are_those_in_memory(tmp_path, limit):
    structures = [labelled(1.0 + 0.001 * seed, seed) for seed in range(20)] + [molecule("CH4")]
    structures[3].info["group"] = "third"
    structures[20].calc = SinglePointCalculator(structures[20], energy=2.0)
    ase.io.write(tmp_path / "a.extxyz", structures)
    cache = tmp_path / "cache"
    cache.mkdir()
    memory = read_frames(tmp_path / "a.extxyz")
    disk = read_frames(tmp_path / "a.extxyz", in_memory_limit=limit, cache_dir=cache)
    assert memory.content_hash() == disk.content_hash()
    assert disk.summary().on_disk == (limit < 10**9)
    assert ("memory-mapped" in str(disk.summary())) == (limit < 10**9)
    assert disk.groups == memory.groups == [""] * 3 + ["third"] + [""] * 17
    for one, other in zip(memory, disk, strict=True):
        for name in ("atomic_numbers", "positions", "cell", "pbc", "energy", "forces", "stress"):
            a, b = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
    assert memory.species() == disk.species() == [1, 6, 29]
    if limit < 10**9:
        assert isinstance(disk[0].positions.base, np.memmap)


def test_the_cache_is_gone_when_reading_failed(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    path = tmp_path / "a.xyz"
    good = NUMBERS.format(energy="1.0", y="1.0", f="0.5", rest="")
    path.write_text(good * 30 + NUMBERS.format(energy="1.0", y="1.0", f="nan", rest=""))
    with pytest.raises(ValueError, match="frame 30"):
        read_frames(path, in_memory_limit=1000, cache_dir=cache)
    assert list(cache.iterdir()) == []


def test_a_missing_cache_directory(tmp_path):
    ase.io.write(tmp_path / "a.xyz", series())
    with pytest.raises(FileNotFoundError, match=r"cache directory .* does not exist"):
        read_frames(tmp_path / "a.xyz", cache_dir=tmp_path / "nowhere")


def test_no_space_for_the_cache_says_where(tmp_path, monkeypatch):
    ase.io.write(tmp_path / "a.xyz", series())

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cynosure.data.columns.tempfile.mkdtemp", full)
    with pytest.raises(OSError, match=r"caching them in .* failed \(No space left on device\); name a dir"):
        read_frames(tmp_path / "a.xyz", in_memory_limit=0, cache_dir=tmp_path)


def test_the_reader_streams(tmp_path):
    """Ten times the frames must not need ten times the memory when they go to disk."""
    import tracemalloc

    frame = Atoms("H400", np.random.default_rng(0).normal(size=(400, 3)), info={"energy": 1.0})

    def peak(count):
        tracemalloc.start()
        frames = Frames.from_atoms((frame for _ in range(count)), in_memory_limit=200_000, cache_dir=tmp_path)
        assert len(frames) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(1000) < 1.5 * peak(100) + 500_000
    shutil.rmtree(tmp_path)
