"""The runtime that gives a page a job for a study immediately, from the store or through the queue."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from entviz.errors import EntvizError
from entviz.runtime.engine import Engine, InProcess
from entviz.runtime.identity import model_identity
from entviz.runtime.idle_timer import IdleTimer, give_memory_back
from entviz.runtime.kept_states import KeptStates
from entviz.runtime.keys import asked_key
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.queue import Derived, Job, Turn, Worker
from entviz.runtime.requests import (
    AnswerStudy,
    EstimateTime,
    LoadModel,
    PlanBlocks,
    Request,
    SpellTokens,
    TimeReading,
)
from entviz.store.memory import Memory
from entviz.studies.evaluation import Evaluate
from entviz.studies.interactions import MeasurePairs
from entviz.studies.registry import open_store
from entviz.studies.repaired_evaluation import EvaluateRepaired
from entviz.studies.study import StoredStudy, Study

if TYPE_CHECKING:
    from entviz.blocks import PruneSet
    from entviz.comparison.grid.estimate import Estimate
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.interactions.plan import Plan
    from entviz.repair.choice import RepairChoice
    from entviz.store import Run, Store
    from entviz.studies.comparison import Compare
    from entviz.studies.samples import TextSample
    from entviz.timing import Speed

T = TypeVar("T")

URGENT, BACKGROUND = 1, -1  # before other work, and after a session's other jobs
IDLE_SECONDS = 120.0
SPEED_ROUNDS = 7
ESTIMATE_SECONDS = 120.0
_SPELLED_BYTES = 10_000_000
_PIECE_BYTES = 70  # roughly the memory for a short text


class Runtime:
    """Loads models, computes studies in jobs, and keeps both. All methods return immediately and never raise.

    ``session`` identifies the browser session. A page that shows an unfinished job must ``touch(session)`` it every few
    seconds, or ask again, which does the same. A job for which no session does so is cancelled. Invalid input gives a
    failed job.

    Args:
        worker: the queue.
        store: the store of results.
        engine: where models are and requests are computed; in this process by default, with ``models`` and a cache of
            ``states_bytes`` for hidden states.
        idle_seconds: how long nothing is computed before memory is freed.
    """

    def __init__(
        self,
        *,
        worker: Worker | None = None,
        store: Store | None = None,
        engine: Engine | None = None,
        models: ModelCache | None = None,
        states_bytes: int | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.worker = worker or Worker()
        self.store = store or open_store()
        self.engine = engine or InProcess(self.store, models or ModelCache(), KeptStates(states_bytes))
        self._idle = IdleTimer(idle_seconds, self._give_back)
        self._spelled = Memory(_SPELLED_BYTES)

    def ask(self, study: Study[T], session: str, *, slot: str | EllipsisType | None = ...) -> Job[T]:
        """A job for a study. The session then no longer waits for its earlier job in the same slot.

        Args:
            slot: the study's own slot by default; None supersedes no job.
        """
        try:
            basis = study.basis
        except EntvizError as error:
            return Job.refused("refused", error)
        if basis is not None:
            return Derived(self.ask(basis.study, session, slot=slot), basis.derive)
        place = study.slot if isinstance(slot, EllipsisType) else slot
        priority = URGENT if study.urgent else BACKGROUND if study.background else 0
        if not isinstance(study, StoredStudy):  # each request is separate
            return self._submit(f"{study.kind} {uuid4()}", AnswerStudy(study), session, place, priority)
        key, identity = asked_key(study)
        known: T | None = self.store.answer(key) if identity is not None else None
        if known is None:
            request = key if identity is not None else None
            return self._submit(key, AnswerStudy(study, request), session, place, priority)
        if place is not None:
            self.worker.withdraw(session, place)
        return Job.answered(key, known)

    def knows(self, study: StoredStudy[Any]) -> bool:
        """Whether the study's result is in the store."""
        key, identity = asked_key(study)
        return identity is not None and self.store.answer(key) is not None

    def spell(self, model: str, token_ids: Sequence[Sequence[int]], session: str) -> Job[list[list[str]]]:
        """The text of each token of several sequences.

        It is kept only in memory, because it is quickly made again and no user looks it up as a result.
        """
        rows = tuple(tuple(int(token_id) for token_id in row) for row in token_ids)
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        key = f"spell {model_identity(model)} {model} {digest}"
        known: list[list[str]] | None = self._spelled.get(key)
        if known is not None:
            return Job.answered(key, known)

        def keep(pieces: list[list[str]]) -> None:
            self._spelled.put(key, pieces, _PIECE_BYTES * sum(map(len, rows)))

        return self._submit(key, SpellTokens(model, rows), session, None, URGENT, keep)

    def earlier_comparison(self, sample: TextSample) -> tuple[Run, Comparison] | None:
        """The newest comparison of this text with this model, even if it is unfinished; reads the store only."""
        for run in self.store.runs(kind="comparison", model=sample.model, limit=20):
            if self.store.text(run.key) == sample.text:
                found: Comparison | None = self.store.get(run.key)
                if found is not None:
                    return run, found
        return None

    def estimate(self, study: Compare, session: str) -> Job[Estimate]:
        """How long a comparison takes here and now, from timing some of its work. Asked again later it is timed again.

        What is known of it already counts nothing.
        """
        try:
            key = asked_key(study)[0]
        except EntvizError as error:
            return Job.refused("refused", error)
        # While someone chooses what to compare, the machine is taken to stay as busy as it is.
        moment = int(time.monotonic() / ESTIMATE_SECONDS)
        return self._submit(f"{key} estimate {moment}", EstimateTime(study), session, "estimate", URGENT)

    def plan(self, sample: TextSample, level: str, session: str) -> Job[Plan]:
        """How long measuring every block, and every pair, takes on this machine. It is timed each time, not stored."""
        try:
            key = f"{asked_key(MeasurePairs(sample, level))[0]} plan"
        except EntvizError as error:
            return Job.refused("refused", error)
        return self._submit(key, PlanBlocks(sample, level), session, "plan", URGENT)

    def speed(
        self,
        sample: TextSample,
        drop: PruneSet,
        dtype: str,
        session: str,
        *,
        repair: RepairChoice | None = None,
    ) -> Job[Speed]:
        """How many times as fast as the dense model it reads without some blocks; the two are timed in turn.

        With a ``repair`` the pruned model runs with it. Kept in no store: other sets are timed again where someone
        looks at them.
        """
        study = Evaluate(sample, drop, dtype)
        if repair is not None:
            study = EvaluateRepaired(sample, drop, dtype, repair)
        try:
            key = f"{asked_key(study)[0]} speed"
        except EntvizError as error:
            return Job.refused("refused", error)
        request = TimeReading(sample, drop, dtype, repair, SPEED_ROUNDS)
        return self._submit(key, request, session, "speed", BACKGROUND)

    def prepare(self, model: str, session: str) -> Job[None]:
        """Load a model in the background, so that the first result that needs it is available sooner."""
        key = f"prepare {model_identity(model)} {model}"
        if self.engine.holds(model):
            return Job.answered(key, None)
        return self._submit(key, LoadModel(model), session, None, BACKGROUND)

    def forget(self, *keys: str) -> None:
        """Delete stored runs permanently. If the same study is requested again, it is computed and listed again."""
        self.store.remove(*keys)
        self.worker.forget_finished()  # these keys still have results

    def leave(self, session: str) -> None:
        """The session has ended. Jobs for which only this session waited are cancelled."""
        self.worker.leave(session)

    def close(self) -> None:
        """Stop all work and close the store."""
        self._idle.stop()
        self.worker.close()
        self.engine.close()
        self.store.close()

    def _submit(
        self,
        key: str,
        request: Request[T],
        session: str,
        slot: str | None,
        priority: int,
        keep: Callable[[T], None] | None = None,
    ) -> Job[T]:
        """A job, shared by all requests for the same ``key``. ``keep`` is called with its result."""

        def compute(turn: Turn) -> T:
            try:
                result = self.engine.compute(request, turn)
                if keep is not None:
                    keep(result)
                return result
            finally:
                self._idle.restart()

        try:
            return self.worker.submit(key, compute, session=session, slot=slot, priority=priority)
        except EntvizError as error:
            return Job.refused(key, error)

    def _give_back(self) -> None:
        if self.worker.unfinished:
            self._idle.restart()
            return
        self.engine.free_memory()
        self.store.forget_memory()
        self.worker.forget_finished()
        give_memory_back()
