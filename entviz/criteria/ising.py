"""Quadratic choice: the set with the least sum of single and pairwise damages, as in an Ising model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from entviz.blocks import Block, PruneSet
from entviz.criteria.criterion import Criterion
from entviz.errors import OptionError
from entviz.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np

    from entviz.criteria.calibration import Calibration
    from entviz.criteria.candidates import Candidates
    from entviz.criteria.cost_model import CostModel
    from entviz.criteria.ranking import Ranking

MOST_PAIRS = 5000
_RANDOM_SETS = 12  # that say how well the energy agrees with what sets really cost
_WORST = 1e3  # nats, what a set counts without which the model overflows
_FEWEST_TOGETHER = 24  # sets that are run together: fewer would run the layers before them too often


@dataclass(frozen=True)
class Ising(Criterion):
    """Minimize the energy sum a_i x_i + sum J_ij x_i x_j over the sets of a budget; x_i = 1 drops block i.

    a_i is the divergence from the dense model without block i, and J_ij what dropping both i and j costs beyond the sum
    of the two, as :func:`entviz.comparison.interactions.interactions.interactions` measures it. Jansen et al. 2026 set
    up the same energy with coefficients from derivatives; here they are measured. If all blocks save the same, the
    least energy is found exactly as long as there are at most ``MOST_SETS`` sets (:mod:`entviz.criteria.quadratic`),
    and otherwise by simulated annealing; a note says which. It also says how the energies of random sets of the same
    size correlate with their measured divergence.

    Raises:
        OptionError: for more than ``MOST_PAIRS`` pairs.
    """

    name = "ising"
    title = "Quadratic choice (Ising)"
    short_title = "Quadratic"
    source = "Jansen et al. 2026, arXiv:2602.00161, with measured coefficients"
    needs = "trials"
    order = "none"
    score_title = "KL from dense without the block alone"
    score_unit = "nats"

    def rank(self, calibration: Calibration, candidates: Candidates, progress: Progress = silent) -> Ranking:
        from entviz.criteria.quadratic import energy

        blocks, costs = candidates.free, calibration.cost_model("kl")
        if candidates.budget.amount == 0:
            return candidates.whole(self.name, [])
        if len(blocks) * (len(blocks) - 1) // 2 > MOST_PAIRS:
            raise OptionError(
                f"{len(blocks)} blocks make more pairs than the {MOST_PAIRS:,} that can be measured: choose the level "
                "attn or mlp alone, or protect more layers."
            )
        drawn = _drawn(candidates)
        measured = _Measured(costs, progress, len(blocks), len(drawn) + 1)
        linear, pairs = measured.coefficients(blocks)
        chosen, how = _least(candidates, linear, pairs)
        random_costs = measured.costs(drawn)
        [cost] = measured.costs([PruneSet(chosen)])
        place = {block: number for number, block in enumerate(blocks)}

        def expected(drop: PruneSet) -> float:
            return energy(linear, pairs, [place[block] for block in blocks if block in drop])

        alone = dict(zip(map(str, blocks), linear.tolist(), strict=True))
        notes = (
            how,
            _agreement([expected(drop) for drop in drawn], random_costs),
            f"For the chosen set it expects a divergence of {expected(PruneSet(chosen)):.3f} nats; measured on the "
            f"calibration text, it is {cost:.3f}.",
        )
        return replace(candidates.whole(self.name, chosen, alone), notes=notes)

    def evaluations(self, blocks: int, largest: int) -> int:
        return blocks + blocks * (blocks - 1) // 2 + _RANDOM_SETS + 1


class _Measured:
    """The mean divergence of prune sets, measured a part at a time, with progress over all of it."""

    def __init__(self, model: CostModel, progress: Progress, blocks: int, more: int) -> None:
        self.model, self.progress = model, progress
        self.done, self.total = 0, blocks + blocks * (blocks - 1) // 2 + more

    def costs(self, sets: Sequence[PruneSet]) -> list[float]:
        """The mean cost of each set, at most ``_WORST``; it is no number if the model overflows without the set."""
        windows = self.model.window_count

        def report(done: int, _total: int, _partial: object = None, /) -> None:
            self.progress(min(self.done * windows + done, self.total * windows), self.total * windows)

        found = self.model.costs(sets, windows, report).mean(axis=1)
        self.done += len(sets)
        report(0, 0)
        return [min(float(cost), _WORST) for cost in found]

    def coefficients(self, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the cost of each block alone, and (N, N) what a pair costs beyond its two; 0 on the diagonal."""
        import numpy as np

        linear = np.array(self.costs([PruneSet([block]) for block in blocks]))
        beyond = np.zeros((len(blocks), len(blocks)))
        layers = self.model.loaded.layers
        waiting: list[tuple[int, int]] = []
        for i in range(len(blocks)):
            waiting += [
                (i, j)
                for j in range(i + 1, len(blocks))
                if PruneSet([blocks[i], blocks[j]]).leaves_something(layers)
            ]
            if waiting and (len(waiting) >= _FEWEST_TOGETHER or i >= len(blocks) - 2):
                found = self.costs([PruneSet([blocks[i], blocks[j]]) for i, j in waiting])
                for (one, other), cost in zip(waiting, found, strict=True):
                    beyond[one, other] = beyond[other, one] = cost - linear[one] - linear[other]
                waiting = []
        return linear, beyond


def _least(candidates: Candidates, linear: np.ndarray, pairs: np.ndarray) -> tuple[list[Block], str]:
    """The blocks of the set with the least energy, by depth, and how it was found."""
    import numpy as np

    from entviz.criteria.quadratic import anneal, least

    blocks, weights = candidates.free, np.array(list(candidates.weights.values()))
    if np.allclose(weights, weights[0]):
        found = least(linear, pairs, candidates.count(blocks))
    else:
        found = anneal(linear, pairs, weights, candidates.budget.amount)
    chosen = [blocks[place] for place in found.members]
    candidates.reach(PruneSet(chosen))
    if found.sets:
        return chosen, f"It has the least energy of all {found.sets:,} sets of this size."
    return chosen, "It was found by simulated annealing: another set may have a lower energy."


def _drawn(candidates: Candidates) -> list[PruneSet]:
    """Random sets that reach the budget, the same ones each time."""
    source, found = random.Random(0), []
    for _ in range(_RANDOM_SETS):
        order = list(candidates.free)
        source.shuffle(order)
        drop = PruneSet(order[: candidates.count(order)])
        if drop.leaves_something(candidates.layers):
            found.append(drop)
    return list(dict.fromkeys(found))


def _agreement(energies: Sequence[float], costs: Sequence[float]) -> str:
    import numpy as np

    if len(set(energies)) < 3 or len(set(costs)) < 3:
        return "There are too few other sets of this size to tell how its energy agrees with what they cost."
    one, other = (np.argsort(np.argsort(values)) for values in (energies, costs))
    return (
        f"The energies of {len(costs)} random sets of this budget correlate with their measured divergence: "
        f"{np.corrcoef(energies, costs)[0, 1]:.2f}, by ranks {np.corrcoef(one, other)[0, 1]:.2f}."
    )
