"""Two kinds of work are timed in turn, and their ratio has the spread of the rounds."""

import pytest
import torch

from entviz.errors import Cancelled
from entviz.timing import Speed, in_turn, seconds

CPU = torch.device("cpu")


class Machine:
    """A clock that only work moves. From round to round the machine becomes slower, for whatever it does."""

    def __init__(self, slower: float = 1.0) -> None:
        self.now, self.slower, self.pace = 0.0, slower, 1.0
        self.done: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> None:
        self.done.append(name)
        self.now += seconds * self.pace

    def next_round(self) -> None:
        self.done.append("|")
        self.pace *= self.slower


def timed(machine: Machine, repeats: int = 4, between=None):
    return in_turn(
        lambda: machine.work("a", 3.0),
        lambda: machine.work("b", 2.0),
        CPU,
        repeats,
        between=between or machine.next_round,
        clock=machine,
    )


def test_seconds_are_those_of_the_clock():
    machine = Machine()
    assert seconds(lambda: machine.work("a", 3.0), CPU, machine) == 3.0


def test_the_two_take_turns_and_change_who_begins_after_a_round_that_does_not_count():
    machine = Machine()
    first, second = timed(machine)
    assert "".join(machine.done) == "ba|ab|ba|ab|ba|"
    assert first == (3.0,) * 4
    assert second == (2.0,) * 4


def test_a_machine_that_becomes_slower_changes_no_ratio():
    first, second = timed(Machine(slower=1.7))
    assert first[-1] > 4 * first[0]
    found = Speed.of(first, second)
    assert (found.times, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.repeats == 4
    unpaired = Speed.of(first[:1], second[-1:])  # as one kept from before beside one of now
    assert unpaired.times < 0.4


def test_what_happens_between_rounds_is_not_timed():
    machine = Machine()

    def others_compute() -> None:
        machine.now += 1000

    first, second = timed(machine, between=others_compute)
    assert max(*first, *second) == 3.0


def test_the_work_can_be_stopped_between_rounds():
    machine = Machine()

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        timed(machine, between=stop)
    assert len(machine.done) == 2


def test_the_spread_is_the_middle_half_of_the_rounds():
    found = Speed.of((1.0, 1.1, 1.2, 1.3, 9.0), (1.0,) * 5)
    assert (found.times, found.low, found.high, found.repeats) == (1.2, 1.1, 1.3, 5)
    assert found.differs
    assert not Speed.of((0.9, 1.0, 1.1), (1.0,) * 3).differs
    assert found.to_json() == {"times": 1.2, "low": 1.1, "high": 1.3, "repeats": 5}
