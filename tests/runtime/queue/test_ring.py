"""The ring alone: whose turn it is, decided by seconds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entviz.runtime.queue.ring import LARGEST_DEBT, Ring


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.floats(0.01, 2.0), min_size=1), min_size=2),
    st.integers(20, 200),
)
def test_ring_shares_seconds_equally_whatever_the_steps(steps, turns):
    """Deficit round robin: sessions that always want to compute differ by a quantum and a longest step at most."""
    ring = Ring(0.25)
    spent = dict.fromkeys(steps, 0.0)
    for session in steps:
        ring.join(session)
    for turn in range(turns):
        session = ring.next_of(steps)
        seconds = 0.0
        while not ring.used_up(session, seconds):
            seconds += steps[session][turn % len(steps[session])]
        ring.charge(session, seconds)
        spent[session] += seconds
    assert max(spent.values()) - min(spent.values()) <= 0.25 + 2 * 2.0


def test_ring_puts_newcomers_before_whoever_has_just_had_a_turn():
    ring = Ring(0.25)
    for session in "ab":
        ring.join(session)
    assert ring.next_of("ab") == "a"
    ring.join("c")
    ring.charge("a", 0.25)
    order = []
    for _ in range(3):
        order.append(ring.next_of("abc"))
        ring.charge(order[-1], 0.25)
    assert order == ["b", "c", "a"]


def test_ring_forgives_what_is_beyond_the_largest_debt():
    ring = Ring(0.25)
    ring.join("a")
    ring.join("b")
    assert ring.next_of("ab") == "a"
    ring.charge("a", 3600.0)
    turns = 0
    while ring.next_of("ab") == "b":
        ring.charge("b", 0.25)
        turns += 1
    assert turns == pytest.approx(LARGEST_DEBT / 0.25, abs=1)
