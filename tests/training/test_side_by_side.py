"""Calls at once: each on its share of the threads, in order, with their errors."""

import threading

import pytest
import torch

from cynosure.training.side_by_side import SideBySide


@pytest.mark.parametrize(("most", "at_once", "share"), [(1, 1, 4), (2, 2, 2), (3, 3, 1), (7, 4, 1)])
def test_threads_are_shared_by_the_calls_and_left_as_they_were(set_threads, most, at_once, share):
    set_threads(4)
    together = threading.Barrier(at_once)  # holds them up until so many are there at once

    def call(number):
        together.wait(timeout=30)
        return number, torch.get_num_threads(), threading.get_ident()

    calls = SideBySide(most)
    found = calls.map(call, range(at_once))
    calls.close()
    assert [number for number, _, _ in found] == list(range(at_once))
    assert {threads for _, threads, _ in found} == {share}
    assert len({thread for _, _, thread in found}) == at_once
    assert torch.get_num_threads() == 4
    new = []
    thread = threading.Thread(target=lambda: new.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert new == [4]


@pytest.mark.parametrize("most", [1, 3])
def test_an_error_of_a_call_arrives_when_the_others_have_ended(set_threads, most):
    set_threads(3)
    done = []

    def call(number):
        if number == 0:
            raise ArithmeticError("of the first")
        done.append(number)

    calls = SideBySide(most)
    with pytest.raises(ArithmeticError, match="of the first"):
        calls.map(call, range(3))
    calls.close()
    assert sorted(done) == ([1, 2] if most > 1 else [])
