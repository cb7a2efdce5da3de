"""What jobs compute with a model, as plain data, so that it can be computed in this process or in another one.

    request = AnswerStudy(study, key)
    request.compute(runner, turn)

The runtime makes a request, the queue decides when it is computed, and an engine (``engine.py``) decides where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from entviz.studies.registry import result_type
from entviz.studies.samples import TextSample
from entviz.studies.study import Study

if TYPE_CHECKING:
    from entviz.blocks import PruneSet
    from entviz.comparison.grid.estimate import Estimate
    from entviz.comparison.interactions.plan import Plan
    from entviz.repair.choice import RepairChoice
    from entviz.runtime.queue import Turn
    from entviz.runtime.runner import Runner
    from entviz.studies.comparison import Compare
    from entviz.timing import Speed

T = TypeVar("T")


class Request(ABC, Generic[T]):
    """Something to be computed with a model. Its fields are plain data, and so is its result."""

    @abstractmethod
    def compute(self, runner: Runner, turn: Turn) -> T:
        """The result. This may take long. Raises ``EntvizError`` if there is none, ``Cancelled`` if ``turn`` does."""

    def expect(self) -> None:
        """Import what the result is made of, which can take seconds, while another process computes it."""
        return


@dataclass(frozen=True)
class AnswerStudy(Request[T]):
    """The result of a study, stored or computed.

    Attributes:
        study: the study.
        key: the key under which the result is found later without its model; None for none.
    """

    study: Study[T]
    key: str | None = None

    def compute(self, runner: Runner, turn: Turn) -> T:
        return runner.answer(self.study, turn, self.key)

    def expect(self) -> None:
        result_type(self.study.kind)


@dataclass(frozen=True)
class EstimateTime(Request["Estimate"]):
    """How long a comparison takes here and now."""

    study: Compare

    def compute(self, runner: Runner, turn: Turn) -> Estimate:
        return runner.estimate(self.study, turn, turn.aside)


@dataclass(frozen=True)
class LoadModel(Request[None]):
    """Load a model, so that the next result is available sooner."""

    model: str

    def compute(self, runner: Runner, turn: Turn) -> None:
        runner.model(self.model, turn, turn.aside)


@dataclass(frozen=True)
class PlanBlocks(Request["Plan"]):
    """How long measuring every block of a level, and every pair, takes here and now."""

    sample: TextSample
    level: str

    def compute(self, runner: Runner, turn: Turn) -> Plan:
        from entviz.comparison.interactions.plan import plan

        loaded = runner.model(self.sample.model, turn, turn.aside)
        return plan(loaded, self.sample.read(loaded), self.level, progress=turn)


@dataclass(frozen=True)
class SpellTokens(Request[list[list[str]]]):
    """The text of each token of several sequences."""

    model: str
    rows: tuple[tuple[int, ...], ...]

    def compute(self, runner: Runner, turn: Turn) -> list[list[str]]:
        from entviz.text.spelling import spell

        loaded = runner.model(self.model, turn, turn.aside)
        pieces: list[list[str]] = []
        for row in self.rows:
            pieces.append(spell(loaded.tokenizer, list(row)))
            turn(len(pieces), len(self.rows))
        return pieces


@dataclass(frozen=True)
class TimeReading(Request["Speed"]):
    """How many times as fast as the dense model a pruned one reads, timed in turn in so many ``rounds``."""

    sample: TextSample
    drop: PruneSet
    dtype: str
    repair: RepairChoice | None
    rounds: int

    def compute(self, runner: Runner, turn: Turn) -> Speed:
        from entviz.decoder.precision import resolved
        from entviz.evaluation.speed import reading_seconds
        from entviz.repair.fitted import fitted
        from entviz.timing import Speed

        loaded = runner.model(self.sample.model, turn, turn.aside)
        windows = self.sample.read(loaded)
        self.drop.check(loaded.layers)
        made = None
        if self.repair is not None:
            made = fitted(self.repair, loaded, self.drop, begin=self.sample.begin, progress=turn)
        running = loaded.in_dtype(resolved(self.dtype, loaded.device))
        seconds = reading_seconds(
            running, windows, self.drop, repair=made, repeats=self.rounds, progress=turn
        )
        return Speed.of(*seconds)
