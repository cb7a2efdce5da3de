"""The order of turns: sessions in a ring, each with the seconds that it may compute.

This is deficit round robin (Shreedhar & Varghese, "Efficient Fair Queueing Using Deficit Round Robin", SIGCOMM 1995). A
session gets a quantum of seconds when the ring reaches it. Time used beyond the quantum is subtracted from its later
quanta. So neither many jobs nor long steps give a session more than its share, and no session waits longer than one
round.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator

LARGEST_DEBT = 5.0  # seconds; one very long step must not exclude a session for good


class Ring:
    """The order in which sessions get turns of ``quantum`` seconds. Not thread-safe: its owner holds a lock."""

    def __init__(self, quantum: float) -> None:
        self.quantum = quantum
        self._credit: OrderedDict[str, float] = (
            OrderedDict()
        )  # session -> seconds it may compute; first is next

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._credit))

    def join(self, session: str) -> None:
        """Put a session last, unless it is in the ring already."""
        self._credit.setdefault(session, 0.0)

    def keep_only(self, sessions: Collection[str]) -> None:
        """Remove all other sessions from the ring, with their deficits."""
        for session in set(self._credit).difference(sessions):
            del self._credit[session]

    def next_of(self, ready: Collection[str]) -> str:
        """The session among ``ready`` (not empty, all in the ring) whose turn it is."""
        while True:
            session = next(iter(self._credit))
            if session in ready:
                self._credit[session] = min(self._credit[session] + self.quantum, self.quantum)
                if self._credit[session] > 0:
                    return session  # and it stays first, so that a session that joins during its turn comes before it
            self._credit.move_to_end(session)

    def used_up(self, session: str, seconds: float) -> bool:
        """Whether a turn of ``seconds`` uses up the session's quantum."""
        return seconds >= self._credit.get(session, 0.0)

    def charge(self, session: str, seconds: float) -> None:
        """End a session's turn, which lasted ``seconds``."""
        if session in self._credit:
            self._credit[session] = max(self._credit[session] - seconds, -LARGEST_DEBT)
            self._credit.move_to_end(session)
