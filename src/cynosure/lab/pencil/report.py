"""What the pencil experiment says, in words and tables."""

from __future__ import annotations

from cynosure.analysis import Report, Table
from cynosure.lab.pencil.outcome import TURNED, UPRIGHT, Network, Outcome, Pencil, Reached

# Where the error on what it was trained on is more than this part of the held-out one, more steps may help.
_LIMITED = 1 / 3
# Above this part of it, they certainly do.
_UNFINISHED = 2 / 3
# Below this part of the error of answering zero a network has learnt something.
_LEARNT = 0.9
# Errors of one network that differ by less than this part of them are the same: it computes in float32.
_ROUNDING = 1e-4


def run_text(one: Outcome) -> str:
    """What came of a run, for the line that tells that it is finished."""
    return (
        f"{_milli(one.forces[UPRIGHT])} meV/Å upright, {_milli(one.forces[TURNED])} turned, "
        f"{_milli(one.training)} on what it was trained on"
    )


def describe(pencil: Pencil) -> Report:
    """The experiment as tables, for the terminal."""
    seeds = f", {pencil.seeds} seeds" if pencil.seeds > 1 else ""
    return Report(
        title=f"The turned pencil, on {pencil.source}: {pencil.frames[-1]} training frames at most{seeds}",
        tables=tables(pencil),
        warnings=warnings(pencil),
    )


def tables(pencil: Pencil) -> tuple[Table, ...]:
    """Errors in every disguise, what each training cost, errors against frames, and data to equal error."""
    return (
        force_table(pencil),
        energy_table(pencil),
        cost_table(pencil),
        size_table(pencil),
        data_table(pencil),
    )


def force_table(pencil: Pencil) -> Table:
    """Force errors of networks that were trained with the most frames."""
    return Table(
        f"Held-out force error (RMSE, meV/Å), {pencil.frames[-1]} training frames; answering zero: "
        f"{_milli(pencil.silence)}",
        ("frames", *pencil.versions),
        tuple(
            (network.short, *(_milli(pencil.forces(network, version)[-1]) for version in pencil.versions))
            for network in pencil.networks
        ),
    )


def energy_table(pencil: Pencil) -> Table:
    """Energy errors of the same."""
    return Table(
        f"Held-out energy error (MAE, meV/atom), {pencil.frames[-1]} training frames",
        ("frames", *pencil.versions),
        tuple(
            (network.short, *(_milli(pencil.energies(network, version)[-1]) for version in pencil.versions))
            for network in pencil.networks
        ),
    )


def cost_table(pencil: Pencil) -> Table:
    """What the training of the same took, and how well they know what they were trained on."""
    most = pencil.frames[-1]
    return Table(
        f"Training with {most} frames",
        ("", "frames and copies", "steps", "time", "force error on them, meV/Å"),
        tuple(
            (
                network.short,
                str(most * (1 + network.copies)),
                str(pencil.steps(network)),
                _seconds(pencil.seconds(network)[-1]),
                _milli(pencil.training(network)[-1]),
            )
            for network in pencil.networks
        ),
    )


def size_table(pencil: Pencil) -> Table:
    """Force errors on turned frames against the number of training frames."""
    return Table(
        "Force error on turned held-out frames (RMSE, meV/Å)",
        ("training frames", *map(str, pencil.frames)),
        tuple(
            (network.short, *map(_milli, pencil.forces(network, TURNED).tolist()))
            for network in pencil.networks
        ),
    )


def data_table(pencil: Pencil) -> Table:
    """Training frames that it takes to reach an error on turned frames, and what one training with so many takes."""

    def row(network: Network, version: str, name: str) -> tuple[str, ...]:
        reached = (_frames(pencil.reached(network, target, version)) for target in pencil.targets)
        return (name, *reached, _seconds(pencil.seconds(network).mean()))

    plain = pencil.networks[0]
    return Table(
        "Data and time to equal error: training frames that bring the force error on turned frames down to …",
        ("… meV/Å", *(f"{1e3 * target:.4g}" for target in pencil.targets), "time of a training"),
        (
            *(row(network, TURNED, network.short) for network in pencil.networks),
            row(plain, UPRIGHT, f"{plain.short}, asked upright"),
        ),
    )


def _frames(found: Reached) -> str:
    if found.frames is None:
        return "—"
    return f"{'≤ ' if found.or_fewer else ''}{found.frames:.0f}"


def conclusion(pencil: Pencil) -> list[str]:
    """What was found, as it came out, a sentence or two each; and what to do next."""
    plain = [network for network in pencil.networks if network.l_max is None]
    built_in = [network for network in pencil.networks if network.l_max is not None]
    return [
        _turning(pencil, plain[0]),
        *([_copies(pencil, plain[1:], built_in[-1])] if len(plain) > 1 else []),
        *(_built_in(pencil, network) for network in built_in),
        *_relabelling(pencil, plain[-1]),
        "What to do next: put in what you know, and spend the frames on chemistry (cynosure train YOUR_FRAMES.xyz). "
        "To see this with a molecule of your own: cynosure lab pencil YOUR_FRAMES.xyz.",
    ]


def _turning(pencil: Pencil, plain: Network) -> str:
    upright, turned = (pencil.forces(plain, version)[-1] for version in (UPRIGHT, TURNED))
    start = (
        f"The plain network, trained upright: {_milli(upright)} meV/Å on upright frames, {_milli(turned)} on the same "
        f"frames turned, where answering that there are no forces is off by {_milli(pencil.silence)}."
    )
    if upright > _LEARNT * pencil.silence:
        return f"{start} It has hardly learnt anything yet: it takes more frames or steps to see what turning does."
    if turned <= 1.1 * upright:
        return f"{start} Turning made it hardly worse here."
    return f"{start} It did not know that a turned molecule is the same molecule."


def _copies(pencil: Pencil, shown: list[Network], best: Network) -> str:
    network = min(shown, key=lambda one: pencil.forces(one, TURNED)[-1])
    upright, turned = (pencil.forces(network, version)[-1] for version in (UPRIGHT, TURNED))
    start = (
        f"Shown turned copies, it did best with {network.copies} of each frame: {_milli(turned)} meV/Å on turned "
        f"frames and {_milli(upright)} on upright ones, in {_seconds(pencil.seconds(network)[-1])}. {best.name} has "
        f"{_milli(pencil.forces(best, TURNED)[-1])} with the same {pencil.frames[-1]} frames and no copies, in "
        f"{_seconds(pencil.seconds(best)[-1])}."
    )
    own = pencil.training(network)[-1]
    if own > _UNFINISHED * turned:
        start = (
            f"{start} (On the copies themselves it has {_milli(own)}: more steps, --steps, would help it.)"
        )
    found = pencil.reached(best, turned)
    if found.frames is None:
        return start
    number = f"{found.frames:.0f} frames{' or fewer' if found.or_fewer else ''}"
    return f"{start} To do as well as the copies, {best.name} needs {number}."


def _built_in(pencil: Pencil, network: Network) -> str:
    errors = [pencil.forces(network, version)[-1] for version in pencil.versions]
    change = max(errors) - min(errors)
    if change > _ROUNDING * errors[0]:
        return (
            f"{network.name}: {_milli(min(errors))} to {_milli(max(errors))} meV/Å, so it lacks a symmetry."
        )
    return (
        f"{network.name}, trained on the same upright frames: {_milli(errors[0])} meV/Å whatever is done to them; its "
        f"errors differ by {1e3 * change:.0e} meV/Å at most, which is rounding."
    )


def _relabelling(pencil: Pencil, shown: Network) -> list[str]:
    """About the plain network with most copies, if it had anything to lose."""
    turned, relabelled = (pencil.forces(shown, version)[-1] for version in (TURNED, "relabelled"))
    if relabelled <= 1.1 * turned:
        return []
    return [
        f"Turned copies do not teach what relabelling is: {shown.name} has {_milli(relabelled)} meV/Å where atoms of "
        "one element change places in the list. That would have to be taught in the same way, and moving too."
    ]


def warnings(pencil: Pencil) -> tuple[str, ...]:
    """What a reader should bear in mind, one sentence each."""
    found = list(pencil.notes)
    limited, silent = [], []
    for network in pencil.networks:
        # Of a network that was never shown turned frames, the fair question is about upright ones.
        version = TURNED if network.copies else UPRIGHT
        held_out = pencil.forces(network, version)[-1]
        if held_out > _LEARNT * pencil.silence:
            silent.append(network.name)
        elif pencil.training(network)[-1] > _LIMITED * held_out:
            limited.append(network.name)
    if silent:
        found.append(
            f"Hardly better than answering zero, even on frames like those it was shown: {'; '.join(silent)}. More "
            "frames or more steps (--steps) are needed before anything follows from its errors."
        )
    if limited:
        found.append(
            f"With {pencil.frames[-1]} frames, the error on the training frames is more than a third of that held out: "
            f"{'; '.join(limited)}. More steps (--steps) or a larger network may lower that."
        )
    return tuple(found)


def _milli(value: float) -> str:
    """eV as meV, three digits, and none behind the point from a hundred on."""
    value = 1e3 * value
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
