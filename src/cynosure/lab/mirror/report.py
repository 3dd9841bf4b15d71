"""What the mirror experiment says, in words and tables."""

from __future__ import annotations

from collections.abc import Callable

from cynosure.analysis import Report, Table
from cynosure.lab.mirror.cases import CASES, Case
from cynosure.lab.mirror.outcome import KINDS, Mirror, Outcome

_KEPT = 1e-6  # a deviation from what parity promises, below which it is rounding
_KNOWS = 0.9  # accuracy from which on a network tells the hands apart
_BY_KEY = {case.key: case for case in CASES}


def run_text(one: Outcome) -> str:
    """What came of a run, for the line that tells that it is finished."""
    left, right = one.scores["new left"], one.scores["new right"]
    if _BY_KEY[one.run.network].asks_hand:
        return f"{_percent(left)} of new left hands told rightly, {_percent(right)} of right ones"
    return f"{_milli(left)} meV off on new left hands, {_milli(right)} on right ones"


def describe(found: Mirror) -> Report:
    """The experiment as tables, for the terminal."""
    return Report(
        title=f"Mirror images of {found.measured} new molecules, after training on {found.training}",
        tables=tables(found),
        warnings=warnings(found),
    )


def tables(found: Mirror) -> tuple[Table, ...]:
    """Which hands are told, and what the hands' energies are."""
    return hand_table(found), energy_table(found)


def hand_table(found: Mirror) -> Table:
    """Accuracies of the hand."""

    def row(case: Case) -> tuple[str, ...]:
        one = found.of(case)
        both = (one.scores["new left"] + one.scores["new right"]) / 2
        return (
            case.network,
            case.shown,
            *_cells(one, _percent),
            _percent(both),
            _small(one.difference),
            _small(one.sum),
        )

    return Table(
        "Which hand is it? Molecules told rightly, %, left / right; and root mean square of p − p′ and p + p′, for a "
        "molecule and its mirror image (new compositions)",
        ("network, target", "shown", *KINDS, "new, both", "p − p′", "p + p′"),
        tuple(row(case) for case in found.hands),
    )


def energy_table(found: Mirror) -> Table:
    """Errors of the energy, and how far the energies of the two hands are apart."""

    def row(case: Case) -> tuple[str, ...]:
        one = found.of(case)
        apart = 1e3 * one.difference
        return (case.network, case.shown, *_cells(one, _milli), _small(apart))

    return Table(
        "Energy: mean absolute error, left / right, meV, and E(left) − E(right) (root mean square, new compositions), "
        f"meV; conformations of one composition differ by {_milli(found.spread)}",
        ("network, target", "shown", *KINDS, "E − E′"),
        tuple(row(case) for case in found.energies),
    )


def _cells(one: Outcome, text: Callable[[float], str]) -> list[str]:
    """Of each kind of molecules, left and right."""
    return [
        " / ".join(text(one.scores[f"{kind} {side}"]).removesuffix(" %") for side in ("left", "right"))
        for kind in KINDS
    ]


def conclusion(found: Mirror) -> list[str]:
    """What was found, as it came out, a sentence or two each; and what to do next."""
    odd, odd_both, free, free_both, even, invariant = (found.of(case) for case in found.hands)
    return [
        _odd(odd, odd_both),
        _free(free, free_both),
        _even(even, invariant),
        _energies(found),
        "What to do next: declare what your quantity does in a mirror. Energies are 0e, and model.parity natural or "
        "true keeps both hands equal; handedness, optical activity and the like are 0o, and need model.parity true "
        '("targets": {"hand": {"irreps": "0o"}}).',
    ]


def _odd(left: Outcome, both: Outcome) -> str:
    told = _told(left)
    start = (
        f"O(3) with a 0o target, trained on left hands alone, tells {_percent(told[0])} of the left hands of new "
        f"compositions and {_percent(told[1])} of their mirror images, and of ASE's molecules "
        f"{_percent(left.scores['real left'])} and {_percent(left.scores['real right'])}; it never saw a right one"
    )
    if left.sum > _KEPT:
        return f"{start}; but p′ = −p fails by {_small(left.sum)}, so it lacks the symmetry."
    return (
        f"{start}: p′ = −p by construction, {_within(left.sum)}. Shown both hands, it tells "
        f"{_percent(_mean(both))} of all; there is nothing in the other hand to learn from."
    )


def _free(left: Outcome, both: Outcome) -> str:
    told = _told(left)
    start = (
        f"SO(3) has no parity labels. Trained on left hands alone, it tells {_percent(told[0])} of the new left hands "
        f"and {_percent(told[1])} of the right ones"
    )
    middle = (
        ": whatever it is shown, it says left. "
        if told[0] > _KNOWS and told[1] < 1 - _KNOWS
        else ", so what it says of one hand does not settle the other. "
    )
    familiar = (both.scores["familiar left"] + both.scores["familiar right"]) / 2
    able = "It can tell hands, but has to be shown both" if familiar > _KNOWS else "Shown both"
    return (
        f"{start}{middle}{able}: then it tells {_percent(familiar)} of the compositions that it knows and "
        f"{_percent(_mean(both))} of new ones."
    )


def _even(even: Outcome, invariant: Outcome) -> str:
    words = (
        f"A 0e target of O(3), and a network of invariants (l_max 0), tell {_percent(_mean(even))} and "
        f"{_percent(_mean(invariant))} of all hands, though they were shown both"
    )
    if max(even.difference, invariant.difference) > _KEPT:
        return f"{words}; their answers differ between the hands, so they lack the symmetry."
    return (
        f"{words}: they answer the same for a molecule and its mirror image ("
        f"{_within(max(even.difference, invariant.difference))}), and so are right for exactly one of them."
    )


def _energies(found: Mirror) -> str:
    labelled, _, left, both = (found.of(case) for case in found.energies)
    apart = 1e3 * labelled.difference
    own, shown_left, shown_both = (
        _milli((one.scores["familiar left"] + one.scores["familiar right"]) / 2)
        for one in (labelled, left, both)
    )
    return (
        f"Energies of mirror images are equal in nature. O(3) makes them equal "
        f"{_within(apart)}{' meV' if apart else ''}. Those of SO(3) differ by {_milli(left.difference)} meV after "
        f"training on left hands, where its error is {_milli(left.scores['new left'])} meV on new left hands and "
        f"{_milli(left.scores['new right'])} on right ones; by {_milli(both.difference)} meV after training on both. "
        f"(The errors as such, on compositions that they know: O(3) {own}, SO(3) {shown_left} and {shown_both} meV. "
        "One draw of molecules and weights does not tell which is smaller.)"
    )


def warnings(found: Mirror) -> tuple[str, ...]:
    """What a reader should bear in mind, one sentence each."""
    unsure = [
        case.name
        for case in (found.hands[0], found.hands[3])
        if found.of(case).scores["familiar left"] < _KNOWS or found.of(case).scores["familiar right"] < _KNOWS
    ]
    if not unsure:
        return ()
    return (
        f"Not sure of the hands even of compositions that they know: {'; '.join(unsure)}. More steps (--steps) or "
        "molecules may help.",
    )


def _told(one: Outcome) -> tuple[float, float]:
    return one.scores["new left"], one.scores["new right"]


def _mean(one: Outcome) -> float:
    return sum(_told(one)) / 2


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %" if 0 < part < 1 else f"{100 * part:.0f} %"


def _milli(value: float) -> str:
    """eV as meV, three digits, and none behind the point from a hundred on."""
    value = 1e3 * value
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def _within(deviation: float) -> str:
    return f"within {_small(deviation)}" if deviation else "exactly"


def _small(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:#.3g}" if 1e-3 <= value < 99.95 else f"{value:.0f}" if value >= 99.95 else f"{value:.0e}"
