"""Labelled structures in columns: one array per quantity, whether in memory or mapped from disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import ArrayLike, NDArray

from cynosure.data.columns import ColumnBuilder
from cynosure.data.labels import LABELS, LabelFinder
from cynosure.data.units import unit_factors
from cynosure.graph import ATOMS, Declared, Points, Quantity, Rows

IN_MEMORY_LIMIT = 2**30  # bytes of frames kept in memory before they go to a memory-mapped cache

_COLUMNS = {
    "atomic_numbers": (np.int64, ()),
    "positions": (np.float64, (3,)),
    "forces": (np.float64, (3,)),
    "cell": (np.float64, (3, 3)),
    "pbc": (np.bool_, (3,)),
    "energy": (np.float64, ()),
    "stress": (np.float64, (3, 3)),
    "group": (np.int64, ()),
    "number": (np.int64, ()),
    "count": (np.int64, ()),
}


@dataclass(frozen=True, eq=False)
class Frame:
    """One labelled structure. A label that it does not have is NaN.

    Attributes:
        atomic_numbers: [N] int64.
        positions: [N, 3], Å.
        cell: [3, 3], Å, rows are lattice vectors.
        pbc: [3] bool.
        energy: eV.
        forces: [N, 3], eV/Å.
        stress: [3, 3], eV/Å³, positive under tension.
        group: what the file calls the kind of structure (`group` or `config_type`), or "".
        source: where it came from, for messages: the file and the frame's number in it, from 0.
        declared: arrays that the reader was told of, by name, [rows, *shape] each; of targets, those it has.
        inputs: which of them are inputs; the others are labels.
    """

    atomic_numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    group: str
    source: str
    declared: Mapping[str, Rows] = field(default_factory=dict)
    inputs: frozenset[str] = frozenset()

    def labels(self) -> dict[str, NDArray[np.float64]]:
        """The labels that this frame has: `energy` (), `forces` [N, 3], `stress` [3, 3]."""
        every = {"energy": np.asarray(self.energy), "forces": self.forces, "stress": self.stress}
        return {name: value for name, value in every.items() if not np.isnan(value).any()}

    def label_names(self) -> set[str]:
        """The labels that this frame has, declared targets among them."""
        known = {
            name for name, found in self.declared_of(inputs=False).items() if np.isfinite(found.values).any()
        }
        return {*self.labels(), *known}

    def declared_of(self, *, inputs: bool) -> dict[str, Rows]:
        """The declared inputs, or else the declared targets that this frame has."""
        return {name: found for name, found in self.declared.items() if (name in self.inputs) == inputs}

    def to_atoms(self) -> Atoms:
        """An ASE `Atoms` of its own memory, the labels in a SinglePointCalculator."""
        atoms = Atoms(self.atomic_numbers, self.positions, cell=self.cell, pbc=self.pbc)
        if self.group:
            atoms.info["group"] = self.group
        labels = self.labels()
        if labels:
            results = {name: float(value) if name == "energy" else value for name, value in labels.items()}
            if "stress" in labels:
                results["stress"] = labels["stress"][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            atoms.calc = SinglePointCalculator(atoms, **results)
        return atoms


@dataclass(frozen=True)
class Summary:
    """What is in a set of frames; `str()` of it is a short table.

    Attributes:
        source: the file.
        n_frames: number of frames.
        n_atoms: atoms in all frames together.
        elements: chemical symbol to number of atoms, by atomic number.
        groups: group to number of frames.
        labels: label to the column it was read from, for the labels found.
        counts: label to the number of frames that have it, 0 for those not found.
        units: quantity to the unit it was converted from, where one was named.
        inputs: declared input to the column it was read from.
        other_columns: columns of the file that were not read.
        on_disk: whether the frames are mapped from disk.
    """

    source: str
    n_frames: int
    n_atoms: int
    elements: Mapping[str, int]
    groups: Mapping[str, int]
    labels: Mapping[str, str]
    counts: Mapping[str, int]
    units: Mapping[str, str]
    inputs: Mapping[str, str]
    other_columns: tuple[str, ...]
    on_disk: bool

    def __str__(self) -> str:
        elements = ", ".join(f"{symbol} {count}" for symbol, count in self.elements.items())
        lines = [f"{self.source}: {self.n_frames} frames, {self.n_atoms} atoms ({elements})"]
        for label, count in self.counts.items():
            if count == 0:
                lines.append(f"  {label}: none")
                continue
            unit = self.units.get("virial" if "virial" in self.labels[label] else label)
            converted = f", converted from {unit}" if unit else ""
            lines.append(f"  {label}: {count} of {self.n_frames} frames, {self.labels[label]}{converted}")
        lines += [f"  {name}: input, {column}" for name, column in self.inputs.items()]
        if "length" in self.units:
            lines.append(f"  positions and cell: converted from {self.units['length']}")
        if set(self.groups) != {""}:
            named = ", ".join(f"{group or '(none)'} {count}" for group, count in self.groups.items())
            lines.append(f"  groups: {named}")
        if self.other_columns:
            lines.append(f"  not read: {', '.join(self.other_columns)}")
        if self.on_disk:
            lines.append("  kept on disk, memory-mapped")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Store:
    """The columns of all frames that were read together; subsets share it."""

    arrays: Mapping[str, NDArray]
    offsets: NDArray[np.int64]
    groups: tuple[str, ...]
    source: str
    columns: Mapping[str, str]
    units: Mapping[str, str]
    other_columns: tuple[str, ...]
    on_disk: bool
    declared: tuple[Declared, ...] = ()
    points: Points = ATOMS
    rows: Mapping[str, NDArray[np.int64]] = field(
        default_factory=dict
    )  # where each frame's rows begin, by name

    def of_frame(self, name: str, frame: int) -> Rows:
        """What a frame has of a declared array; no rows if it has none."""
        rows = slice(*self.rows[name][frame : frame + 2].tolist())
        ends = self.arrays.get(f"ends.{name}")
        return Rows(
            np.asarray(self.arrays[f"declared.{name}"][rows]),
            None if ends is None else np.asarray(ends[rows]),
        )


@dataclass(frozen=True, eq=False)
class Frames:
    """An ordered set of labelled structures, in eV and Å; made by `read_frames` or `Frames.from_atoms`.

    `len(frames)`, `frames[i]` (negative i counts from the end) and iteration give `Frame`s. Arrays are
    read-only; a subset shares them.
    """

    _store: _Store = field(repr=False)
    _indices: NDArray[np.int64]

    @classmethod
    def from_atoms(
        cls,
        structures: Iterable[Atoms] | Iterable[tuple[int, Atoms]],
        keys: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        declared: Sequence[Declared] = (),
        *,
        points: Points = ATOMS,
        source: str = "structures",
        in_memory_limit: int = IN_MEMORY_LIMIT,
        cache_dir: Path | None = None,
    ) -> Frames:
        """Frames of ASE structures, which are taken one at a time and not changed.

        Args:
            structures: `Atoms`, or (number for messages, `Atoms`).
            keys: label to column, for labels that are not under a well-known name (see `read_frames`).
            units: quantity to unit, for what is not in eV and Å (see `unit_factor`).
            declared: other arrays to read, as they are.
            points: what the points of the structures are called.
            source: what messages call the whole.
            in_memory_limit: bytes of frames to keep in memory; beyond it they go to a memory-mapped cache.
            cache_dir: where that cache goes; the system's temporary directory by default.

        Raises:
            ValueError: no structures; one without atoms; a position, cell or label that is not finite; a
                label of the wrong shape or under different names; a named column that is nowhere; an
                unknown unit; a point without its name.
        """
        units = dict(units or {})
        factors = unit_factors(units)
        finder = LabelFinder(keys or {}, factors, declared)
        groups: dict[str, int] = {}
        with ColumnBuilder(_COLUMNS | _columns_of(declared), in_memory_limit, cache_dir) as builder:
            for position, item in enumerate(structures):
                number, atoms = (position, item) if isinstance(item, Atoms) else item
                try:
                    kinds = points.numbers(atoms)
                    _append(
                        builder, number, atoms, kinds, finder, declared, factors.get("length", 1.0), groups
                    )
                except ValueError as error:
                    raise ValueError(f"{source}, frame {number}: {error}") from error
            arrays = builder.finish()
            on_disk = builder.on_disk
        if len(arrays["number"]) == 0:
            raise ValueError(f"{source}: there are no frames")
        finder.check_named(source)
        store = _Store(
            arrays=arrays,
            offsets=np.concatenate([[0], np.cumsum(arrays["count"])]),
            groups=tuple(groups),
            source=source,
            columns={label: str(column) for label, column in finder.columns.items()}
            | {one.name: f"column '{one.key}'" for one in declared},
            units=units,
            other_columns=tuple(sorted(finder.seen - finder.read - {points.key})),
            on_disk=on_disk,
            declared=tuple(declared),
            points=points,
            rows={
                one.name: np.concatenate([[0], np.cumsum(arrays[f"count.{one.name}"])]) for one in declared
            },
        )
        return cls(store, np.arange(len(arrays["number"])))

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Frame:
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} was asked of {len(self)} frames of {self._store.source}")
        frame = int(self._indices[index])
        arrays = self._store.arrays
        atoms = slice(int(self._store.offsets[frame]), int(self._store.offsets[frame + 1]))
        return Frame(
            atomic_numbers=np.asarray(arrays["atomic_numbers"][atoms]),
            positions=np.asarray(arrays["positions"][atoms]),
            cell=np.asarray(arrays["cell"][frame]),
            pbc=np.asarray(arrays["pbc"][frame]),
            energy=float(arrays["energy"][frame]),
            forces=np.asarray(arrays["forces"][atoms]),
            stress=np.asarray(arrays["stress"][frame]),
            group=self._store.groups[int(arrays["group"][frame])],
            source=f"{self._store.source}, frame {int(arrays['number'][frame])}",
            declared={
                one.name: found
                for one in self._store.declared
                if len((found := self._store.of_frame(one.name, frame)).values)
            },
            inputs=frozenset(one.name for one in self._store.declared if one.role == "input"),
        )

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    @property
    def source(self) -> str:
        """The file, or what stands for it."""
        return self._store.source

    @property
    def atom_counts(self) -> NDArray[np.int64]:
        """[frames] number of atoms of each frame."""
        return np.asarray(self._store.arrays["count"][self._indices])

    @property
    def energies(self) -> NDArray[np.float64]:
        """[frames] eV, NaN where there is none."""
        return np.asarray(self._store.arrays["energy"][self._indices])

    @property
    def groups(self) -> list[str]:
        """The group of each frame."""
        return [self._store.groups[code] for code in self._store.arrays["group"][self._indices]]

    @property
    def force_sizes(self) -> NDArray[np.float64]:
        """[frames] root mean square force component of each frame, eV/Å; NaN where there are no forces."""
        offsets, forces = self._store.offsets, self._store.arrays["forces"]
        squares = [
            np.mean(np.square(forces[offsets[frame] : offsets[frame + 1]], dtype=np.float64))
            for frame in self._indices
        ]
        return np.sqrt(np.array(squares))

    @property
    def points(self) -> Points:
        """What the points of the structures are called."""
        return self._store.points

    def subset(self, indices: ArrayLike) -> Frames:
        """The frames at `indices` (integers, or a mask of this length), in that order, sharing memory.

        Raises:
            IndexError: an index out of range.
        """
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        return Frames(self._store, self._indices[chosen])

    def species(self) -> list[int]:
        """The atomic numbers of the elements present, ascending."""
        return [int(number) for number in sorted(self._element_counts())]

    def label_counts(self) -> dict[str, int]:
        """Label to the number of frames that have it: `energy`, `forces`, `stress` and declared targets, 0 included."""
        arrays, indices = self._store.arrays, self._indices
        first_atoms = self._store.offsets[:-1][indices]
        # A frame has all of a label or none of it, so its first number tells.
        firsts = {
            "energy": arrays["energy"][indices],
            "forces": arrays["forces"][first_atoms, 0],
            "stress": arrays["stress"][indices, 0, 0],
        }
        counts = {label: int(np.isfinite(firsts[label]).sum()) for label in LABELS}
        for one in self.targets:
            found = (self._store.of_frame(one.name, frame).values for frame in indices)
            counts[one.name] = sum(bool(np.isfinite(values).any()) for values in found)
        return counts

    @property
    def targets(self) -> tuple[Declared, ...]:
        """The declared arrays that are labels."""
        return tuple(one for one in self._store.declared if one.role == "target")

    @property
    def quantities(self) -> dict[str, Quantity]:
        """What the declared arrays are, by name."""
        return {one.name: one.quantity for one in self._store.declared}

    def summary(self) -> Summary:
        """What was found, under which column, in how many frames."""
        elements = self._element_counts()
        return Summary(
            source=self.source,
            n_frames=len(self),
            n_atoms=int(self.atom_counts.sum()),
            elements={self.points.name(number): elements[number] for number in sorted(elements)},
            groups=dict(Counter(self.groups)),
            labels=self._store.columns,
            inputs={
                one.name: self._store.columns[one.name] for one in self._store.declared if one.role == "input"
            },
            counts=self.label_counts(),
            units=self._store.units,
            other_columns=self._store.other_columns,
            on_disk=self._store.on_disk,
        )

    def content_hash(self) -> str:
        """SHA-256 (hexadecimal) of structures and labels in order; file names and groups do not enter."""
        digest = hashlib.sha256()
        for frame in self:
            digest.update(len(frame.atomic_numbers).to_bytes(8, "little"))
            for part in (
                frame.atomic_numbers,
                frame.positions,
                frame.cell,
                frame.pbc,
                np.float64(frame.energy),
                frame.forces,
                frame.stress,
            ):
                digest.update(part.astype(part.dtype.newbyteorder("<")).tobytes())
            for name, found in frame.declared.items():
                digest.update(name.encode())
                for part in found:
                    if part is not None:
                        digest.update(part.astype(part.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def _element_counts(self) -> Counter[int]:
        counts: Counter[int] = Counter()
        for frame in self._indices:
            start, stop = self._store.offsets[frame : frame + 2]
            numbers, times = np.unique(self._store.arrays["atomic_numbers"][start:stop], return_counts=True)
            counts.update(dict(zip(numbers.tolist(), times.tolist(), strict=True)))
        return counts


def require_labels(frames: Frames, names: Iterable[str]) -> None:
    """Raise unless at least one frame has each of the labels: training calls it for every loss that is on.

    Raises:
        ValueError: naming the label, what was found instead, and how to name a column.
    """
    counts = frames.label_counts()
    for name in names:
        if name not in counts:
            raise ValueError(f"there is no label '{name}'; the labels are {', '.join(counts)}")
        if counts[name]:
            continue
        summary = frames.summary()
        found = ", ".join(
            f"{label} ({summary.labels[label]}, {count} of {len(frames)} frames)"
            for label, count in counts.items()
            if count
        )
        others = ", ".join(summary.other_columns)
        raise ValueError(
            f"label '{name}' is not in {frames.source} although its loss weight is on; found:"
            f" {found or 'no labels'}; columns not read: {others or 'none'}; name the column with --key"
            f" {name}=COLUMN{' (or virial=COLUMN)' if name == 'stress' else ''}, or set the weight of"
            f" '{name}' to 0"
        )


def _append(
    builder: ColumnBuilder,
    number: int,
    atoms: Atoms,
    kinds: NDArray[np.int64],
    finder: LabelFinder,
    declared: Sequence[Declared],
    length: float,
    groups: dict[str, int],
) -> None:
    """Convert and check one structure, and add it to the columns."""
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms")
    positions = atoms.positions * length
    cell = atoms.cell.array * length
    _check_atoms_finite("position", positions)
    if not np.isfinite(cell).all():
        raise ValueError(f"the cell has an entry that is not finite: {cell.tolist()}")
    labels = finder.find(atoms, abs(float(np.linalg.det(cell))))
    for name, value in labels.items():
        if name == "forces":
            _check_atoms_finite("force", value)
        elif not np.isfinite(value).all():
            raise ValueError(f"the {name} ({finder.columns[name]}) is not finite: {value.tolist()}")
    group = str(atoms.info.get("group", atoms.info.get("config_type", "")))
    rows = {
        "atomic_numbers": kinds,
        "positions": positions,
        "forces": labels.get("forces", np.full((len(atoms), 3), np.nan)),
        "cell": cell,
        "pbc": atoms.pbc,
        "energy": labels.get("energy", np.nan),
        "stress": labels.get("stress", np.full((3, 3), np.nan)),
        "group": groups.setdefault(group, len(groups)),
        "number": number,
        "count": len(atoms),
    }
    for name, value in rows.items():
        builder.append(name, value)
    found = finder.find_declared(atoms)
    for one in declared:
        own = found.get(one.name)
        builder.append(f"count.{one.name}", 0 if own is None else len(own.values))
        if own is not None:
            builder.append(f"declared.{one.name}", own.values)
            if own.ends is not None:
                builder.append(f"ends.{one.name}", own.ends)


def _columns_of(declared: Sequence[Declared]) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """The columns that keep declared arrays: their rows, how many each frame has, and of edges which they are."""
    columns: dict[str, tuple[Any, tuple[int, ...]]] = {}
    for one in declared:
        columns[f"declared.{one.name}"] = np.float64, one.quantity.shape
        columns[f"count.{one.name}"] = np.int64, ()
        if one.ends is not None:
            columns[f"ends.{one.name}"] = np.int64, (5,)
    return columns


def _check_atoms_finite(what: str, values: NDArray[np.float64]) -> None:
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        atom = int(np.argmax(bad))
        raise ValueError(
            f"the {what} of atom {atom} is not finite: {values[atom].tolist()}"
            f" ({int(bad.sum())} of {len(values)} atoms; atoms are counted from 0)"
        )
