"""The least energy sum a_i x_i + sum J_ij x_i x_j over sets of a given size: exactly, or by simulated annealing.

    found = least(linear, pairs, count=8)
    found.members, found.energy, found.sets    # the places chosen; how many sets were compared, or 0 for annealing

Exactly means that every set is compared. The places are cut into two halves: the energy of a set is that of its part in
each half plus a product of the two, so that all sets together are a few products of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

MOST_SETS = 200_000_000  # that are compared exactly: a few seconds
_TOGETHER = 4_000_000  # energies in memory
_RUNS, _SWEEPS = 12, 400  # of annealing; in a sweep each place is tried once on average


@dataclass(frozen=True)
class Least:
    """The set with the least energy.

    Attributes:
        members: the places, ascending.
        energy: its energy.
        sets: how many sets were compared, which are all; 0 if it was found by annealing.
    """

    members: tuple[int, ...]
    energy: float
    sets: int


def energy(linear: np.ndarray, pairs: np.ndarray, members: Sequence[int]) -> float:
    """The energy of a set. ``linear`` is (N,); ``pairs`` is (N, N), symmetric, with zeros on the diagonal."""
    chosen = list(members)
    return float(linear[chosen].sum() + pairs[np.ix_(chosen, chosen)].sum() / 2)


def least(
    linear: np.ndarray, pairs: np.ndarray, count: int, *, most_sets: int = MOST_SETS, seed: int = 0
) -> Least:
    """The set of ``count`` places with the least energy; exact if there are at most ``most_sets`` such sets."""
    if math.comb(len(linear), count) <= most_sets:
        return _exact(linear, pairs, count)
    return anneal(linear, pairs, np.ones(len(linear)), count, fixed=True, seed=seed)


def anneal(
    linear: np.ndarray,
    pairs: np.ndarray,
    weights: np.ndarray,
    amount: float,
    *,
    fixed: bool = False,
    seed: int = 0,
) -> Least:
    """A set with little energy whose weights (N,) sum to ``amount`` at least, by simulated annealing.

    Without any one of its members it would not reach the amount: an energy made of pairs says little of much larger
    sets, and can fall with each further member. The temperature falls geometrically from the mean size of a change to a
    thousandth of it, in several runs. With ``fixed`` a step only ever swaps a member for another place, so that their
    number stays.
    """
    random = np.random.default_rng(seed)
    best = Least((), math.inf, 0)
    least_saved = amount * (1 - 1e-9)
    most_saved = least_saved + 2 * weights.max()  # so much on the way from one set to another
    warm = float(np.abs(linear).mean() + np.abs(pairs).sum(1).mean()) or 1.0
    for _ in range(_RUNS):
        inside = _start(random, weights, amount)
        field = linear + pairs @ inside  # what a place adds, or, of a member, what it has added
        saved, now = float(weights @ inside), energy(linear, pairs, np.flatnonzero(inside).tolist())
        steps = _SWEEPS * len(linear)
        for step in range(steps):
            temperature = warm * 1e-3 ** (step / steps)
            out, into = _move(random, inside, fixed)
            after = saved - (weights[out] if out >= 0 else 0) + (weights[into] if into >= 0 else 0)
            if not least_saved <= after <= most_saved:
                continue
            change = -field[out] if out >= 0 else 0.0
            change += field[into] if into >= 0 else 0.0
            change -= pairs[out, into] if out >= 0 and into >= 0 else 0.0
            if change > 0 and random.random() >= math.exp(-change / temperature):
                continue
            for place, sign in ((out, -1.0), (into, 1.0)):
                if place >= 0:
                    inside[place] += sign
                    field = field + sign * pairs[place]
            saved, now = after, now + change
            if now < best.energy - 1e-12 and saved - weights[inside > 0].min() < least_saved:
                members = tuple(np.flatnonzero(inside).tolist())
                best = Least(members, energy(linear, pairs, members), 0)
    return best


def _start(random: np.random.Generator, weights: np.ndarray, amount: float) -> np.ndarray:
    order = random.permutation(len(weights))
    enough = int(np.searchsorted(weights[order].cumsum(), amount * (1 - 1e-9))) + 1
    inside = np.zeros(len(weights))
    inside[order[:enough]] = 1
    return inside


def _move(random: np.random.Generator, inside: np.ndarray, fixed: bool) -> tuple[int, int]:
    """A place that leaves and one that comes, or -1 for none."""
    members, others = np.flatnonzero(inside), np.flatnonzero(inside == 0)
    kind = 0 if fixed else int(random.integers(3))
    out = int(random.choice(members)) if len(members) and kind != 1 else -1
    into = int(random.choice(others)) if len(others) and kind != 2 else -1
    return (-1, -1) if fixed and min(out, into) < 0 else (out, into)


def _exact(linear: np.ndarray, pairs: np.ndarray, count: int) -> Least:
    size = len(linear) // 2
    first, second = slice(0, size), slice(size, len(linear))
    best, compared = Least((), math.inf, 0), 0
    for inside in range(max(0, count - (len(linear) - size)), min(count, size) + 1):
        others = _subsets(len(linear) - size, count - inside)
        alone = others @ linear[second] + ((others @ pairs[second, second]) * others).sum(1) / 2
        for rows in _in_parts(_subsets(size, inside), max(1, _TOGETHER // len(others))):
            own = rows @ linear[first] + ((rows @ pairs[first, first]) * rows).sum(1) / 2
            energies = own[:, None] + alone + (rows @ pairs[first, second]) @ others.T
            compared += energies.size
            place = int(energies.argmin())
            row, column = divmod(place, len(others))
            if energies[row, column] < best.energy:
                members = np.flatnonzero(np.concatenate([rows[row], others[column]]))
                best = Least(tuple(members.tolist()), float(energies[row, column]), 0)
    return Least(best.members, best.energy, compared)


def _subsets(size: int, count: int) -> np.ndarray:
    """(subsets, size) ones and zeros: each subset of ``size`` places with ``count`` members."""
    chosen = np.array(list(combinations(range(size), count)), dtype=np.int64).reshape(
        math.comb(size, count), count
    )
    found = np.zeros((len(chosen), size))
    np.put_along_axis(found, chosen, 1.0, axis=1)
    return found


def _in_parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
