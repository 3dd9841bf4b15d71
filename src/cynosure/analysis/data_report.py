"""What a set of labelled structures holds, and what about it looks wrong."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
from ase import units
from ase.data import covalent_radii

from cynosure.analysis.report import Report, Table
from cynosure.data import Frame, Frames, fit_e0s
from cynosure.graph import neighbour_list

# Contacts are searched in at most this many frames, spread evenly: the search costs more than all else.
_CONTACT_FRAMES = 500
# Nearer than this part of the sum of the covalent radii, two atoms are probably a mistake.
_CROWDED = 0.5
_LARGE_FORCE = 50.0  # eV/Å
# A mean net force per atom beyond this (eV/Å) means that forces are not those of the energy.
_NET_FORCE = 0.02
# Energies per atom further from the median than this many of the typical distances are told.
_OUTLIER = 15.0
# Elements that so few frames have are hardly learned.
_RARE = 5


def describe_data(frames: Frames) -> Report:
    """Counts, ranges and suspicious things of a set of frames.

    Looked for: atoms that are too near, huge forces, forces that do not add up to zero, forces that are all
    zero, the same structure twice, energies far from the others, elements in very few frames, labels that only
    some frames have. Each frame is named as in its file, counted from 0.
    """
    survey = _Survey(frames)
    return Report(
        title=f"{frames.source}: {len(frames)} frame{'s' if len(frames) != 1 else ''}",
        tables=tuple(
            table
            for table in (_overview(frames, survey), _labels(frames, survey), _groups(frames))
            if table.rows
        ),
        warnings=tuple(_warnings(frames, survey)),
        next_steps=_next_steps(frames),
    )


class _Survey:
    """One pass over all frames that keeps what the tables and the warnings need."""

    def __init__(self, frames: Frames) -> None:
        self.periodic: Counter[str] = Counter()
        self.largest_force = (0.0, "")
        self.squares, self.components = 0.0, 0
        self.net_forces: list[tuple[float, str]] = []
        self.zero_forces: list[str] = []
        self.pressures: list[float] = []
        self.frames_with: Counter[int] = Counter()
        self.twins: list[tuple[str, str]] = []
        self.closest: tuple[float, str] = (np.inf, "")
        seen: dict[bytes, str] = {}
        stride = max(1, -(-len(frames) // _CONTACT_FRAMES))
        for number, frame in enumerate(frames):
            self.periodic[
                {0: "not periodic", 3: "periodic"}.get(int(frame.pbc.sum()), "partly periodic")
            ] += 1
            self.frames_with.update(set(frame.atomic_numbers.tolist()))
            self._forces(frame)
            if np.isfinite(frame.stress).all():
                self.pressures.append(-float(np.trace(frame.stress)) / 3 / units.GPa)
            fingerprint = _fingerprint(frame)
            if fingerprint in seen:
                self.twins.append((seen[fingerprint], frame.source))
            seen.setdefault(fingerprint, frame.source)
            if number % stride == 0:
                self.closest = min(self.closest, _contact(frame))

    def _forces(self, frame: Frame) -> None:
        forces = frame.forces
        if not np.isfinite(forces).all():
            return
        lengths = np.linalg.norm(forces, axis=1)
        self.squares += float(np.sum(forces**2))
        self.components += forces.size
        atom = int(np.argmax(lengths))
        self.largest_force = max(self.largest_force, (float(lengths[atom]), f"{frame.source}, atom {atom}"))
        if len(forces) > 1:
            self.net_forces.append((float(np.linalg.norm(forces.sum(axis=0))) / len(forces), frame.source))
            if not lengths.any():
                self.zero_forces.append(frame.source)


def _overview(frames: Frames, survey: _Survey) -> Table:
    summary = frames.summary()
    counts = frames.atom_counts
    rows = {
        "atoms": f"{int(counts.min())} to {int(counts.max())} per frame, {summary.n_atoms:,} in all",
        "elements": ", ".join(f"{symbol} ({count:,})" for symbol, count in summary.elements.items()),
        "periodicity": ", ".join(f"{count} {kind}" for kind, count in survey.periodic.most_common()),
    }
    if summary.units:
        rows["converted from"] = ", ".join(
            f"{quantity} in {unit}" for quantity, unit in summary.units.items()
        )
    if summary.other_columns:
        rows["not read"] = ", ".join(summary.other_columns)
    return Table("Structures", ("", ""), tuple(rows.items()))


def _labels(frames: Frames, survey: _Survey) -> Table:
    summary = frames.summary()
    ranges = dict.fromkeys(summary.counts, "")
    energies = frames.energies / frames.atom_counts
    if np.isfinite(energies).any():
        low, high = np.nanmin(energies), np.nanmax(energies)
        ranges["energy"] = f"{low:.4f} to {high:.4f} eV/atom"
    if survey.components:
        rms = np.sqrt(survey.squares / survey.components)
        ranges["forces"] = f"RMS {rms:.3f}, largest {survey.largest_force[0]:.2f} eV/Å"
    if survey.pressures:
        ranges["stress"] = f"pressure {min(survey.pressures):.2f} to {max(survey.pressures):.2f} GPa"
    rows = tuple(
        (
            label,
            f"{count} of {len(frames)}",
            summary.labels.get(label, "none") if count else "none",
            ranges[label],
        )
        for label, count in summary.counts.items()
    )
    return Table("Labels", ("label", "frames", "column", "range"), rows)


def _groups(frames: Frames) -> Table:
    groups = Counter(frames.groups)
    rows = (
        () if set(groups) == {""} else tuple((name or "(none)", str(n)) for name, n in groups.most_common())
    )
    return Table("Groups", ("group", "frames"), rows)


def _warnings(frames: Frames, survey: _Survey) -> list[str]:
    """One line for each thing that looks wrong."""
    found = []
    if survey.closest[0] < _CROWDED:
        found.append(f"atoms are very near: {survey.closest[1]}")
    if survey.largest_force[0] > _LARGE_FORCE:
        found.append(f"a force of {survey.largest_force[0]:.0f} eV/Å: {survey.largest_force[1]}")
    pulled = [(size, source) for size, source in survey.net_forces if size > _NET_FORCE]
    if pulled:
        size, source = max(pulled)
        found.append(
            f"in {len(pulled)} frames the forces do not add up to zero (worst {size:.3f} eV/Å per atom, {source}): "
            "are they complete, and without constraints?"
        )
    if survey.zero_forces:
        found.append(
            f"{len(survey.zero_forces)} frames have forces that are all zero (first {survey.zero_forces[0]}): "
            "so has a perfect crystal, but were they computed?"
        )
    if survey.twins:
        first, second = survey.twins[0]
        found.append(
            f"{len(survey.twins)} frames repeat an earlier structure, such as {second} that of {first}"
        )
    rare = [frames.points.name(z) for z, count in sorted(survey.frames_with.items()) if count < _RARE]
    if rare and len(frames) >= _RARE:
        found.append(f"fewer than {_RARE} frames have {', '.join(rare)}: a model would hardly learn it")
    partly = [label for label, count in frames.label_counts().items() if 0 < count < len(frames)]
    if partly:
        found.append(f"only some frames have {' and '.join(partly)}")
    return found + _far_energies(frames)


def _far_energies(frames: Frames) -> list[str]:
    """Frames whose energy per atom, less E0s fitted to all, is far from what is usual here."""
    labelled = np.flatnonzero(np.isfinite(frames.energies))
    if len(labelled) < 10:
        return []
    e0s = fit_e0s(frames).e0s
    rest = np.array(
        [
            (frame.energy - sum(e0s[z] for z in frame.atomic_numbers.tolist())) / len(frame.atomic_numbers)
            for frame in frames.subset(labelled)
        ]
    )
    distance = np.abs(rest - np.median(rest))
    usual = max(float(np.median(distance)), 1e-4)
    worst = int(np.argmax(distance))
    if distance[worst] <= _OUTLIER * usual:
        return []
    count = int(np.sum(distance > _OUTLIER * usual))
    return [
        f"{count} energies are far from the others, most of all {frames[int(labelled[worst])].source}: "
        f"{distance[worst]:.3f} eV/atom off, where {usual:.3f} is usual"
    ]


def _next_steps(frames: Frames) -> tuple[str, ...]:
    counts = frames.label_counts()
    if counts["energy"] == 0 and counts["forces"] == 0:
        return (f"cynosure train {frames.source} --key energy=COLUMN --key forces=COLUMN",)
    if set(frames.atom_counts.tolist()) == {1}:
        return (f"cynosure train DATA --e0s {frames.source}",)
    return (f"cynosure train {frames.source}",)


def _fingerprint(frame: Frame) -> bytes:
    digest = hashlib.sha256()
    for part in (frame.atomic_numbers, frame.positions, frame.cell, frame.pbc):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.digest()


def _contact(frame: Frame) -> tuple[float, str]:
    """The most crowded pair of a frame: its distance over the sum of covalent radii, and its description."""
    radii = covalent_radii[frame.atomic_numbers]
    try:
        reach = max(2.0 * _CROWDED * float(radii.max()), 0.1)
        receivers, senders, shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, reach)
    except ValueError as error:  # two atoms on one spot, a periodic cell without volume
        return 0.0, f"{frame.source}: {error}"
    if len(receivers) == 0:
        return np.inf, ""
    vectors = frame.positions[senders] + shifts @ frame.cell - frame.positions[receivers]
    distances = np.linalg.norm(vectors, axis=1)
    ratios = distances / (radii[receivers] + radii[senders])
    e = int(np.argmin(ratios))
    i, j = sorted((int(receivers[e]), int(senders[e])))
    return float(ratios[e]), f"{frame.source}: atoms {i} and {j}, {distances[e]:.2f} Å apart"
