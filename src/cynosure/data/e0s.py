"""Energies of isolated atoms (E0s): given, read from a file of lone atoms, or fitted to the frames."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cynosure.data.frames import Frames
from cynosure.data.readers import read_frames
from cynosure.graph import ATOMS, Points

# Singular values below this, relative to the largest, say nothing about the data.
_RANK_TOLERANCE = 1e-10
_BLOCK = 4096  # frames reduced at a time


@dataclass(frozen=True)
class E0Fit:
    """The result of `fit_e0s`.

    Attributes:
        e0s: atomic number to eV.
        rank: how many independent combinations of E0s the compositions determine.
        n_species: how many E0s there are. With rank < n_species the data leave some combinations open, and
            the E0s are the shortest vector among those that fit equally well.
        rmse_per_atom: eV, of the energy per atom, with the E0s and what was taken for the rest of it.
        points: what kinds and units are called.
    """

    e0s: dict[int, float]
    rank: int
    n_species: int
    rmse_per_atom: float
    points: Points = ATOMS

    def __str__(self) -> str:
        values = ", ".join(f"{self.points.name(number)} {value:.4f}" for number, value in self.e0s.items())
        unit, factor = self.points.units["energy_per_atom"]
        text = (
            f"E0s by least squares ({self.points.energy}): {values}; rank {self.rank} of {self.n_species},"
            f" residual {factor * self.rmse_per_atom:.1f} {unit}"
        )
        if self.rank < self.n_species:
            text += (
                "; the compositions do not determine each E0, only their sum in structures composed like"
                " these: energies of other compositions need isolated atoms (--e0s FILE)"
            )
        return text


def fit_e0s(frames: Frames, beyond: NDArray[np.float64] | None = None) -> E0Fit:
    """E0s by least squares: minimise Σ_f ((E_f − U_f − Σ_z n_fz E0_z) / N_f)² over the frames with an energy.

    Frames are reduced block by block to one triangular matrix (QR), so that any number of them fits in memory;
    the least-norm solution of the triangle is that of all frames.

    Args:
        frames: the structures with their energies E_f.
        beyond: [frames] eV, U_f, the energies that something else explains; zero if None.

    Raises:
        ValueError: no frame has an energy.
    """
    labelled = np.flatnonzero(np.isfinite(frames.energies))
    if len(labelled) == 0:
        raise ValueError(
            f"no frame of {frames.source} has an energy, so that E0s cannot be fitted; name the column with"
            " --key energy=COLUMN"
        )
    species = frames.subset(labelled).species()
    triangle = np.zeros((0, len(species) + 1))
    for start in range(0, len(labelled), _BLOCK):
        rows = []
        for index in labelled[start : start + _BLOCK]:
            frame = frames[int(index)]
            composition = (frame.atomic_numbers[:, None] == np.array(species)).sum(axis=0)
            rest = 0.0 if beyond is None else beyond[index]
            rows.append(np.append(composition, frame.energy - rest) / len(frame.atomic_numbers))
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))
    matrix, target = triangle[:, :-1], triangle[:, -1]
    solution, _, rank, _ = np.linalg.lstsq(matrix, target, rcond=_RANK_TOLERANCE)
    residual = float(np.linalg.norm(matrix @ solution - target))
    return E0Fit(
        e0s={number: float(value) for number, value in zip(species, solution, strict=True)},
        rank=int(rank),
        n_species=len(species),
        rmse_per_atom=residual / math.sqrt(len(labelled)),
        points=frames.points,
    )


def isolated_e0s(
    path: str | Path,
    keys: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    points: Points = ATOMS,
) -> dict[int, float]:
    """E0s from a file in which every frame is one atom with its energy.

    Args:
        path, keys, units, points: as for `read_frames`.

    Returns:
        atomic number to eV, ascending.

    Raises:
        ValueError: a frame of more than one atom, or without an energy; an element twice, with energies more
            than 1e-6 eV apart; and as `read_frames`.
    """
    e0s: dict[int, float] = {}
    for frame in read_frames(path, keys, units, points=points):
        if len(frame.atomic_numbers) != 1:
            raise ValueError(
                f"{frame.source}: a file of isolated atoms was expected and this frame has"
                f" {len(frame.atomic_numbers)} atoms; fit the E0s to frames with --e0s fit"
            )
        if math.isnan(frame.energy):
            raise ValueError(
                f"{frame.source}: the isolated atom has no energy; name its column with --key energy=COLUMN"
            )
        number = int(frame.atomic_numbers[0])
        if abs(e0s.setdefault(number, frame.energy) - frame.energy) > 1e-6:
            raise ValueError(
                f"{frame.source}: {points.name(number)} is there with two energies, {e0s[number]} and"
                f" {frame.energy} eV; leave one"
            )
    return dict(sorted(e0s.items()))


def parse_e0s(
    text_or_path: str | Path,
    keys: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    points: Points = ATOMS,
) -> tuple[dict[int, float], str]:
    """E0s from what a user gives: JSON, a JSON file, or a file of isolated atoms.

    Args:
        text_or_path: `{"Si": -0.8}` (symbols or atomic numbers to eV), a file that holds such JSON, or a file
            that ASE reads with one atom a frame.
        keys, units: as for `read_frames`; they concern files of atoms only.
        points: what the kinds are called.

    Returns:
        (atomic number to eV, kind), kind `given` for JSON and `isolated` for a file of atoms.

    Raises:
        FileNotFoundError: the text is neither JSON nor a file.
        ValueError: broken JSON; an unknown element; a value that is not a finite number; and as
            `isolated_e0s`.
    """
    text = str(text_or_path)
    if text.lstrip().startswith("{"):
        try:
            mapping = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"the E0s are not valid JSON ({error}): {text}") from error
        return _given(mapping, "the E0s given", points), "given"
    path = Path(text)
    if not path.exists():
        raise FileNotFoundError(
            f"E0s: there is no file '{text}', and it is not JSON; give a file of isolated atoms, JSON like"
            ' {"H": -13.6}, or the word fit'
        )
    if path.suffix == ".json":
        # An ASE database may end in .json too; its top level has rows under "ids", which no element is.
        try:
            mapping = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not valid JSON ({error})") from error
        if not (isinstance(mapping, dict) and "ids" in mapping):
            return _given(mapping, str(path), points), "given"
    return isolated_e0s(path, keys, units, points), "isolated"


def require_e0s(e0s: Mapping[int, float], species: Iterable[int], points: Points = ATOMS) -> None:
    """Raise unless every element has an E0.

    Raises:
        ValueError: naming the elements that lack one.
    """
    missing = sorted(set(species) - set(e0s))
    if missing:
        have = points.listed(sorted(e0s)) or "no element"
        raise ValueError(
            f"the data have {points.listed(missing)} but no E0 is given for {'it' if len(missing) == 1 else 'them'}"
            f" (there is one for {have}); add it, or fit the E0s with --e0s fit"
        )


def _given(mapping: object, where: str, points: Points) -> dict[int, float]:
    """Check a mapping that came from JSON."""
    if not isinstance(mapping, dict):
        raise ValueError(f'{where}: a JSON object like {{"H": -13.6}} was expected')
    e0s: dict[int, float] = {}
    for name, value in mapping.items():
        try:
            number = points.number(name)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{where}: the E0 of {name} must be a finite number in eV; got {value!r}")
        if number in e0s:
            raise ValueError(f"{where}: {points.name(number)} is there twice")
        e0s[number] = float(value)
    return dict(sorted(e0s.items()))
