"""Glycolaldehyde: data, training, relaxation, harmonic frequencies, infrared spectrum and a figure by one command.

    python -m examples.chemistry.run [--quick] [--out FOLDER]

It is run from the root of the repository. The folder (`runs/chemistry`) gets `numbers.json`, `chemistry.png`, the
frames, and the run of training in `model/`. `--quick` goes the whole way in less than a minute, hardly trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.io import read
from examples.chemistry.figure import SMOOTH, draw
from examples.chemistry.harmonic import Modes, by_differences, normal_modes
from examples.chemistry.make_data import glycolaldehyde, make_data
from examples.chemistry.measure import UNITS, Comparison, relaxation
from examples.chemistry.spectrum import BANDS, Spectrum, of_model, of_reference, similarity, thermal
from examples.running import Clock, command_line, parsed

import cynosure
from cynosure.training import display_for, from_settings, train
from cynosure.training.config import load_settings, merge
from examples import gfn2

SETTINGS = Path(__file__).with_name("settings.json")
TEMPERATURE = 300.0  # K, of the spectrum
# cm⁻¹, the most that harmonic frequencies may be off in the mean.
GOAL = 15.0


class Size(NamedTuple):
    """How much is done.

    Attributes:
        epochs: of training.
        molecules: in motion with the model.
        reference: of them also with GFN2-xTB.
        settle, steps: of 0.5 fs, with a thermostat and then without.
    """

    epochs: int
    molecules: int
    reference: int
    settle: int
    steps: int


FULL = Size(160, 64, 8, 2000, 8000)
QUICK = Size(40, 4, 2, 100, 400)


def main() -> None:
    """Parse the command line, and go the whole way."""
    parser = command_line("chemistry", "Learn a molecule, and measure its infrared spectrum.")
    arguments = parsed(parser)
    arguments.out.mkdir(parents=True, exist_ok=True)
    numbers = run(arguments.out, quick=arguments.quick)
    error = numbers["harmonic"]["mean error"]
    if not arguments.quick and error >= GOAL:
        raise SystemExit(
            f"harmonic frequencies are off by {error:.1f} cm⁻¹ in the mean; below {GOAL:g} was expected"
        )


def run(out: Path, *, quick: bool) -> Mapping[str, Any]:
    """Everything, in the order of the README; returns what `numbers.json` holds."""
    torch.set_num_threads(1)  # of so few atoms, threads would mostly wait for each other
    size, clock = QUICK if quick else FULL, Clock()
    training, testing = make_data(out, quick=quick, say=say)
    frames: list[Atoms] = read(testing, ":")  # pyright: ignore[reportAssignmentType] (a list, for a slice)
    clock.lap("data")

    settings = merge(load_settings(SETTINGS), [("data.train", str(training)), ("epochs", size.epochs)])
    result = train(from_settings(settings), out=out / "model", display=display_for())
    if result.signal is not None or result.model is None:
        raise SystemExit("training was stopped, and nothing comes of it; start again in another folder")
    clock.lap("training")

    learned, exact = cynosure.Calculator(result.model), cynosure.Calculator(result.model, dtype="float64")
    comparison = Comparison.of(learned.model, frames)
    reference, minimum = gfn2.calculator(), gfn2.relaxed(glycolaldehyde(), fmax=1e-5)
    distorted = glycolaldehyde()
    distorted.positions = minimum.positions + np.random.default_rng(1).normal(
        scale=0.1, size=(len(minimum), 3)
    )
    at_rest, relaxed = relaxation(exact, distorted, minimum, reference)
    modes, harmonic = frequencies(exact, at_rest, reference, minimum)
    clock.lap("errors, relaxation, frequencies")

    starts = thermal(learned, minimum, size.molecules, TEMPERATURE, size.settle, seed=2)
    moved = of_model(learned, starts, size.steps)
    clock.lap("motion, model")
    compared = of_reference(reference, starts[: size.reference], size.steps)
    clock.lap("motion, reference")
    spectra = Spectrum.of(moved), Spectrum.of(compared)

    numbers: dict[str, Any] = {
        "training frames": len(read(training, ":")),
        "test frames": len(frames),
        "errors": comparison.to_json(),
        "relaxation": relaxed,
        "harmonic": harmonic,
        "spectrum": {
            "model": {"molecules": len(starts), **moved.to_json(), "bands": bands(spectra[0])},
            "reference": {"molecules": size.reference, **compared.to_json(), "bands": bands(spectra[1])},
            "harmonic": {"bands": harmonic_bands(modes[1])},
            **alike(*spectra),
        },
        "seconds": clock.laps,
    }
    (out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    draw(out / "chemistry.png", comparison, modes, spectra, minimum, numbers)
    print(table(numbers))
    print(f"Written: {out / 'numbers.json'}, {out / 'chemistry.png'}")
    return numbers


def frequencies(
    model: cynosure.Calculator, at_rest: Atoms, reference: gfn2.Calculator, minimum: Atoms
) -> tuple[tuple[Modes, Modes], dict[str, Any]]:
    """Normal modes of the model and of the reference, each at its own minimum, and how far they are from each other.

    The model's Hessian is its own second derivative; by differences of its forces it is found once more.
    """
    hessian = model.get_property("hessian", at_rest)
    assert isinstance(hessian, np.ndarray)
    differences, slopes = by_differences(at_rest, model)
    found = normal_modes(at_rest, hessian, slopes)
    expected = normal_modes(minimum, *by_differences(minimum, reference))
    errors = np.abs(found.frequencies - expected.frequencies)
    return (found, expected), {
        "model": found.to_json(),
        "reference": expected.to_json(),
        "mean error": float(errors.mean()),
        "largest error": float(errors.max()),
        "mean error of intensities": float(np.abs(found.intensities - expected.intensities).mean()),
        "mean intensity": float(expected.intensities.mean()),
        "hessian beside differences": float(np.abs(hessian - differences).max()),
    }


def bands(spectrum: Spectrum) -> dict[str, dict[str, float]]:
    """Area and centre of each of `BANDS`."""
    return {name: spectrum.band(*limits) for name, limits in BANDS.items()}


def harmonic_bands(modes: Modes) -> dict[str, dict[str, float]]:
    """The same for sticks."""
    found = {}
    for name, (low, high) in BANDS.items():
        within = (modes.frequencies >= low) & (modes.frequencies < high)
        area = float(modes.intensities[within].sum())
        centre = float(modes.frequencies[within] @ modes.intensities[within]) / area
        found[name] = {"area": area, "centre": centre}
    return found


def alike(model: Spectrum, reference: Spectrum) -> dict[str, float]:
    """Similarity of both spectra, and what chance makes of it: as few of the model's molecules beside the others."""
    within = model.wavenumbers > 100  # (below, molecules rotate, and a few of them show little of that)
    ours, theirs = model.smooth(SMOOTH)[:, within], reference.smooth(SMOOTH)[:, within]
    count = len(theirs)
    return {
        "similarity": similarity(ours.mean(axis=0), theirs.mean(axis=0)),
        "similarity by chance": similarity(ours[:count].mean(axis=0), ours[count:].mean(axis=0)),
    }


def table(numbers: Mapping[str, Any]) -> str:
    """The numbers in words."""
    lines = [f"\n{'held-out frames':28s}{'RMSE':>10s}{'spread':>10s}{'of it':>9s}"]
    for name, one in numbers["errors"].items():
        lines.append(
            f"{name + ', ' + UNITS[name]:28s}{one['rmse']:10.4f}{one['spread']:10.3f}{one['relative']:9.2%}"
        )
    relaxed, harmonic, spectrum = numbers["relaxation"], numbers["harmonic"], numbers["spectrum"]
    lines += [
        "",
        f"relaxation: {relaxed['start']:.3f} Å from the minimum of GFN2-xTB, {relaxed['rmsd']:.4f} Å after "
        f"{relaxed['steps']} steps, {relaxed['energy']:.4f} meV above it",
        f"harmonic frequencies: mean error {harmonic['mean error']:.2f} cm⁻¹, largest {harmonic['largest error']:.2f}; "
        f"intensities: {harmonic['mean error of intensities']:.2f} of {harmonic['mean intensity']:.1f} km/mol",
        f"infrared spectra are alike to {spectrum['similarity']:.3f} (to {spectrum['similarity by chance']:.3f} by "
        "chance, between molecules of the model)",
        "",
        f"{'band: centre, cm⁻¹':24s}{'harmonic':>10s}{'GFN2-xTB MD':>18s}{'learned MD':>18s}",
    ]
    for name in BANDS:
        of = [spectrum[who]["bands"][name] for who in ("harmonic", "reference", "model")]
        found = [f"{one['centre']:.1f} ± {one['centre error']:.1f}" for one in of[1:]]
        lines.append(f"{name:24s}{of[0]['centre']:10.1f}{found[0]:>18s}{found[1]:>18s}")
    return "\n".join(lines)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
