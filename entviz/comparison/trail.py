"""The prune sets that were tried one after another: what each costs, which are best, and how two of them differ.

    trail = Trail().visited(Stop.of(evaluation, basis))
    trail.table(basis)[["drop", "perplexity", "parameters_kept", "best"]]
    difference(first_evaluation, second_evaluation).loss       # an interval, nats a token

A stop belongs to what it was measured on: the model, the text and the number type. Stops of one basis are compared with
one another and with no others.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from entviz.blocks import PruneSet
from entviz.comparison.grid.result import pareto_front
from entviz.evaluation.loss import Evaluation
from entviz.statistics import Interval, cosine_averages, interval

MOST_STOPS = 200
MOST_STEPS = 1000


@dataclass(frozen=True)
class Stop:
    """A prune set that was tried, with a repair or without, and what it costs.

    Attributes:
        drop: the prune set.
        basis: what it was measured on; equal for stops that can be compared.
        perplexity, dense_perplexity: of the pruned and of the dense model on the same text.
        loss_increase: above the dense model's loss, with its 95% interval, nats a token.
        kl: from the dense model, with its 95% interval, nats.
        top1_agreement: the share of positions where the likeliest next token is the dense model's.
        parameters: weights left; ``parameters_kept`` is their share.
        number: its number in its trail, from 1; 0 outside of one.
        repair: the title of the repair that the pruned model ran with; empty for none.
        repaired_by: the choices that the repair is made by; equal for equal repairs of a prune set.
    """

    drop: PruneSet
    basis: Hashable
    perplexity: float
    dense_perplexity: float
    loss_increase: Interval
    kl: Interval
    top1_agreement: float
    parameters: int
    parameters_kept: float
    number: int = 0
    repair: str = ""
    repaired_by: Hashable = None

    @classmethod
    def of(
        cls, evaluation: Evaluation, basis: Hashable, *, repair: str = "", repaired_by: Hashable = None
    ) -> Stop:
        """The stop that an evaluation is."""
        one = evaluation
        return cls(
            drop=one.drop,
            basis=basis,
            perplexity=one.perplexity,
            dense_perplexity=one.dense_perplexity,
            loss_increase=one.nll_increase,
            kl=one.kl_interval,
            top1_agreement=one.top1_agreement,
            parameters=one.parameters_pruned,
            parameters_kept=one.parameters_pruned / one.parameters_dense,
            repair=repair,
            repaired_by=repaired_by,
        )

    def same(self, other: Stop) -> bool:
        """Whether both are the same prune set with the same repair, measured on the same."""
        return (self.drop, self.basis, self.repair, self.repaired_by) == (
            other.drop,
            other.basis,
            other.repair,
            other.repaired_by,
        )


@dataclass(frozen=True)
class Trail:
    """Stops, and the way along them. Nothing in it is changed: each step gives another trail.

    Attributes:
        stops: each prune set once for each basis and repair, in the order in which they were tried first; the latest
            :data:`MOST_STOPS` of them.
        steps: the numbers of the stops, in the order of the visits.
    """

    stops: tuple[Stop, ...] = ()
    steps: tuple[int, ...] = ()

    @property
    def now(self) -> Stop | None:
        """Where the way ends."""
        return next((stop for stop in self.stops if self.steps and stop.number == self.steps[-1]), None)

    def visited(self, stop: Stop) -> Trail:
        """The trail one step further; the same where it ends at that stop already."""
        known = self.known(stop)
        if known is not None and known is self.now:
            return self
        stops = self.stops
        if known is None:
            known = replace(stop, number=1 + max((one.number for one in stops), default=0))
            stops = (*stops, known)[-MOST_STOPS:]
        left = {one.number for one in stops}
        steps = [step for step in (*self.steps, known.number) if step in left]
        return Trail(stops, tuple(steps[-MOST_STEPS:]))

    def known(self, stop: Stop) -> Stop | None:
        """The stop of the trail that is the same; None where it was not visited, or is forgotten."""
        return next((one for one in self.stops if one.same(stop)), None)

    def find(self, number: int) -> Stop | None:
        """The stop of a number; None where it is not there any more."""
        return next((stop for stop in self.stops if stop.number == number), None)

    def of(self, basis: Hashable) -> Trail:
        """The stops of one basis, and the steps between them."""
        stops = tuple(stop for stop in self.stops if stop.basis == basis)
        numbers = {stop.number for stop in stops}
        return Trail(stops, tuple(step for step in self.steps if step in numbers))

    def table(self, basis: Hashable) -> pd.DataFrame:
        """A row for each stop of a basis, in the order of their numbers.

        Columns: number, drop, repair (its title, or empty), blocks, perplexity, dense_perplexity, loss_increase,
        loss_increase_low, loss_increase_high (nats a token), kl, kl_low, kl_high (nats), top1_agreement,
        parameters_kept (shares), parameters, best. A stop is among the best unless another has as few parameters or
        fewer and a perplexity as low or lower, and is better in one of them.
        """
        rows = [
            {
                "number": stop.number,
                "drop": str(stop.drop),
                "repair": stop.repair,
                "blocks": len(list(stop.drop)),
                "perplexity": stop.perplexity,
                "dense_perplexity": stop.dense_perplexity,
                "loss_increase": stop.loss_increase.mean,
                "loss_increase_low": stop.loss_increase.low,
                "loss_increase_high": stop.loss_increase.high,
                "kl": stop.kl.mean,
                "kl_low": stop.kl.low,
                "kl_high": stop.kl.high,
                "top1_agreement": stop.top1_agreement,
                "parameters_kept": stop.parameters_kept,
                "parameters": stop.parameters,
            }
            for stop in self.of(basis).stops
        ]
        if not rows:
            return pd.DataFrame(columns=[*_COLUMNS, "best"])
        table = pd.DataFrame(rows, columns=list(_COLUMNS))
        return table.assign(best=pareto_front(table, "perplexity", "parameters_kept"))


_COLUMNS = (
    *("number", "drop", "repair", "blocks", "perplexity", "dense_perplexity"),
    *("loss_increase", "loss_increase_low", "loss_increase_high", "kl", "kl_low", "kl_high"),
    *("top1_agreement", "parameters_kept", "parameters"),
)


@dataclass(frozen=True)
class Difference:
    """How the second of two prune sets differs from the first, measured on the same tokens.

    Attributes:
        loss: its loss minus that of the first, token paired with token, with the 95% interval; nats a token.
        kl: the same of KL from dense, nats.
        perplexity: the perplexity of the first, and of the second.
        parameters: how many weights the second has more.
        only_first, only_second: the blocks that only one of them drops.
    """

    loss: Interval
    kl: Interval
    perplexity: tuple[float, float]
    parameters: int
    only_first: PruneSet
    only_second: PruneSet


def difference(first: Evaluation, second: Evaluation) -> Difference:
    """How two evaluations of the same windows differ.

    Raises:
        ValueError: where they are not of the same tokens in the same number type.
    """
    if first.dtype != second.dtype or not np.array_equal(first.token_ids, second.token_ids):
        raise ValueError("two evaluations are compared on the same tokens, in the same number type")
    return Difference(
        loss=second.nll_above(first.token_nll),
        kl=interval(cosine_averages(second.token_kl - first.token_kl)),
        perplexity=(first.perplexity, second.perplexity),
        parameters=second.parameters_pruned - first.parameters_pruned,
        only_first=first.drop - second.drop,
        only_second=second.drop - first.drop,
    )
