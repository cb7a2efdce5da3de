"""The workbench: models, results and the worker, put together for the pages."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from entviz.blocks import KINDS, PruneSet, check_levels
from entviz.errors import EntvizError, OptionError
from entviz.jobs import Derived, Job, Turn, Worker
from entviz.store import Run, Store, request_key, result_key
from entviz.store.memory import Memory
from entviz.tasks import BUILT_IN, read_task, task_titles
from entviz.workbench.comparing import Compare, ContrastBlocks, MeasureAngles
from entviz.workbench.exporting import Export
from entviz.workbench.identity import model_identity
from entviz.workbench.judging import JudgeCriteria, MeasurePairs
from entviz.workbench.rest import Rest, give_memory_back
from entviz.workbench.shelf import Shelf
from entviz.workbench.tasks import (
    Analyze,
    Evaluate,
    Generate,
    Material,
    Rank,
    Request,
    Score,
    Task,
    in_order,
)

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.comparison.interactions import Interactions
    from entviz.comparison.pair import Angles, Contrast
    from entviz.comparison.plan import Plan
    from entviz.comparison.result import Comparison
    from entviz.comparison.trust import Trust
    from entviz.evaluation.generation import Generation
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.tasks import TaskResult
    from entviz.export import Exported
    from entviz.models import LoadedModel
    from entviz.pruning.ranking import Ranking
    from entviz.pruning.states import StateCache
    from entviz.tasks import Task as ChoiceTask

T = TypeVar("T")

MEASURED = ("bucket", "knn", "renyi", "cosine")  # together, as they share the forward pass and much else
FROM_ANALYSIS = ("entrodrop", "cosine", "block-influence")  # criteria that need nothing else
ORDERED = (
    *FROM_ANALYSIS,
    "leave-one-out",
    "last",
    "random",
)  # criteria that order blocks whatever the budget
INTERACTIVE, BACKGROUND = 1, -1  # before and after a session's other jobs
REST_AFTER = 120.0  # seconds
_SPELLED_BYTES = 10_000_000
_PIECE_BYTES = 70  # what a short text takes in memory, roughly


class Workbench:
    """Loads models, computes results in jobs, and remembers both. All methods return at once and never raise.

    ``session`` says who asks. A page that shows an unfinished job must ``touch(session)`` it every few seconds, or
    ask again, which does the same; what nobody asks after is cancelled. Bad input gives a failed job.
    """

    def __init__(
        self,
        *,
        worker: Worker | None = None,
        store: Store | None = None,
        shelf: Shelf | None = None,
        states_bytes: int | None = None,
        rest_after: float = REST_AFTER,
    ) -> None:
        self.worker = worker or Worker()
        self.store = store or Store()
        self.shelf = shelf or Shelf()
        self._states_bytes = states_bytes
        self._states: StateCache | None = None
        self._spelled = Memory(_SPELLED_BYTES)
        self._making = threading.Lock()
        self._rest = Rest(rest_after, self._give_back)

    def analyze(
        self, request: Request, metrics: Sequence[str], session: str, *, levels: Sequence[str] = KINDS
    ) -> Job[Analysis]:
        """Entropy at every site and importance of every block."""
        return self._asked(
            lambda: Analyze(request, in_order(metrics, MEASURED), in_order(check_levels(levels), KINDS)),
            session,
            "analyze",
        )

    def rank(
        self,
        request: Request,
        criterion: str,
        estimator: str,
        level: str,
        budget: int | str,
        session: str,
        *,
        protect: tuple[int, int] | None = None,
        stage: int | None = None,
        seed: int = 0,
        seconds: float = 60.0,
    ) -> Job[Ranking]:
        """Blocks in the order in which any criterion of ``entviz.pruning.choose`` drops them.

        A criterion that only measures shares the analysis of the same text, and one whose order does not depend on
        the budget is computed once for all numbers of blocks. A search's partial result is its best ranking so far.
        """
        if criterion in FROM_ANALYSIS and isinstance(budget, int):
            metric = estimator if criterion == "entrodrop" else "cosine"
            metrics = MEASURED if metric in MEASURED else (metric,)

            def make(analysis: Analysis) -> Ranking:
                from entviz.pruning.criteria import rank

                options = {"level": level, "budget": budget, "protect": protect, "stage": stage}
                return rank(analysis, criterion, estimator=estimator, **options)  # type: ignore[arg-type]

            return Derived(self.analyze(request, metrics, session), make)
        cut_later = criterion in ORDERED and isinstance(budget, int)
        own: dict[str, dict[str, Any]] = {  # what only one criterion depends on
            "entrodrop": {"estimator": estimator, "stage": stage},
            "random": {"seed": seed},
            "search": {"estimator": estimator, "seconds": seconds},
        }
        settings = {"level": level, "budget": str(0 if cut_later else budget), "protect": protect}
        settings |= own.get(criterion, {})
        job = self._asked(lambda: Rank(request, criterion, tuple(settings.items())), session, "rank")
        if not cut_later:
            return job

        def cut(ranking: Ranking) -> Ranking:
            from entviz.pruning.ranking import in_order as ranking_in_order

            return ranking_in_order(criterion, ranking.order, ranking.scores, int(budget))

        return Derived(job, cut)

    def evaluate(
        self, request: Request, drop: str, session: str, dtype: str = "float32", supersede: bool = True
    ) -> Job[Evaluation]:
        """What a prune set costs. The job's partial result is the evaluation of the windows so far.

        With ``supersede`` the session no longer waits for the evaluation that it asked for before.
        """
        slot = "evaluate" if supersede else None
        return self._asked(
            lambda: Evaluate(request, PruneSet.parse(drop), dtype), session, slot, priority=INTERACTIVE
        )

    def generate(
        self, request: Request, prompt: str, drop: str, max_new_tokens: int, session: str, *, side: str = ""
    ) -> Job[Generation]:
        """A greedy continuation of ``prompt``. The job's partial result is the continuation so far.

        One dense and one pruned continuation is wanted at a time; a page that shows more names their sides.
        """
        slot = f"generate {side or ('pruned' if drop.strip() else 'dense')}"
        return self._asked(
            lambda: Generate(request.model, prompt, PruneSet.parse(drop), max_new_tokens), session, slot
        )

    def spell(self, model: str, token_ids: Sequence[Sequence[int]], session: str) -> Job[list[list[str]]]:
        """Each token of several sequences as the piece of text that it stands for.

        Kept in memory only: it is quickly made again, and no result that anyone would look up.
        """
        rows = [[int(token_id) for token_id in row] for row in token_ids]
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        key = f"spell {model_identity(model)} {model} {digest}"
        known: list[list[str]] | None = self._spelled.get(key)
        if known is not None:
            return Job.answered(key, known)
        return self._submit(key, partial(self._spell, key, model, rows), session, None, INTERACTIVE)

    def score(
        self,
        model: str,
        task: ChoiceTask | str,
        drop: str,
        session: str,
        *,
        limit: int | None = None,
        dtype: str = "float32",
    ) -> Job[TaskResult]:
        """Accuracy on a multiple-choice task, given as it was read or by its name; never by a file's.

        The job's partial result is that of the items so far.
        """

        def make() -> Score:
            if isinstance(task, str) and task not in task_titles():
                raise OptionError(f"There is no task '{task[:60]}': choose from {', '.join(task_titles())}.")
            known = read_task(task) if isinstance(task, str) and task in BUILT_IN else task
            return Score(model, known, PruneSet.parse(drop), limit, dtype)

        return self._asked(make, session, None)

    def compare(
        self,
        request: Request,
        criteria: Sequence[str],
        budgets: Sequence[str],
        levels: Sequence[str],
        session: str,
        *,
        measure_on: Sequence[str] = (),
        seeds: int = 3,
        seconds: float = 60.0,
        task: ChoiceTask | None = None,
        limit: int | None = None,
    ) -> Job[Comparison]:
        """Criteria by budgets. The job's partial result is the comparison of the rows so far.

        What one that was stopped or killed has finished is not done again. See
        :class:`entviz.workbench.comparing.Compare` for ``measure_on``.
        """
        choices = (tuple(criteria), tuple(budgets), tuple(levels), seeds, seconds, tuple(measure_on))
        return self._asked(lambda: Compare(request, *choices, task, limit), session, "compare")

    def earlier_comparison(self, request: Request) -> tuple[Run, Comparison] | None:
        """The newest comparison that was made of this text with this model, be it unfinished; reads the store only."""
        for run in self.store.runs(kind="comparison", model=request.model, limit=20):
            if self.store.text(run.key) == request.text:
                found: Comparison | None = self.store.get(run.key)
                if found is not None:
                    return run, found
        return None

    def contrast(self, request: Request, a: str, b: str, session: str) -> Job[Contrast]:
        """What each block costs within one prune set and within another."""
        return self._asked(
            lambda: ContrastBlocks(request, PruneSet.parse(a), PruneSet.parse(b)), session, "contrast"
        )

    def angles(self, request: Request, session: str) -> Job[Angles]:
        """Angular distance across every run of consecutive layers."""
        return self._asked(lambda: MeasureAngles(request), session, "angles")

    def trust(self, request: Request, level: str, session: str) -> Job[Trust]:
        """Each criterion's scores against the measured damage of every block of a level."""
        return self._asked(lambda: JudgeCriteria(request, level), session, "trust")

    def interactions(self, request: Request, level: str, session: str) -> Job[Interactions]:
        """The damage of every pair of blocks. The job's partial result is that of the pairs so far."""
        return self._asked(lambda: MeasurePairs(request, level), session, "interactions")

    def knows(self, kind: str, request: Request, level: str) -> bool:
        """Whether :meth:`trust` or :meth:`interactions`, by its name, has its answer in the store."""
        try:
            task = (JudgeCriteria if kind == "trust" else MeasurePairs)(request, level)
        except EntvizError:  # which that method will say
            return False
        key, identity = self._request_key(task)
        return identity is not None and self.store.answer(key) is not None

    def plan(self, request: Request, level: str, session: str) -> Job[Plan]:
        """How long leaving out every block, and every pair, takes here. It is timed anew, and kept in no store."""
        try:
            key = f"{self._request_key(MeasurePairs(request, level))[0]} plan"
        except EntvizError as error:
            return Job.refused("refused", error)
        return self._submit(key, partial(self._plan, request, level), session, "plan", INTERACTIVE)

    def export(self, wanted: Export, session: str) -> Job[Exported]:
        """Write a pruned model. Each call writes anew, so a page keeps the job; nothing of it is stored."""
        return self._submit(f"export {uuid4()}", partial(self._export, wanted), session, "export", 0)

    def prepare(self, model: str, session: str) -> Job[None]:
        """Load a model in the background, so that the first answer that needs it comes sooner."""
        key = f"prepare {model_identity(model)} {model}"
        if self.shelf.find(model) is not None:
            return Job.answered(key, None)
        return self._submit(key, partial(self._prepare, model), session, None, BACKGROUND)

    def forget(self, *keys: str) -> None:
        """Delete stored runs for good; who asks again has them computed, and listed, anew."""
        self.store.remove(*keys)
        self.worker.forget_finished()  # these still hold the results

    def leave(self, session: str) -> None:
        """The session is gone: what only it waited for is cancelled."""
        self.worker.leave(session)

    def close(self) -> None:
        """Stop all work and close the store."""
        self._rest.stop()
        self.worker.close()
        self.store.close()

    # Inside

    def _asked(
        self, make: Callable[[], Task[T]], session: str, slot: str | None, priority: int = 0
    ) -> Job[T]:
        """The result of a task if it is known, or the job that computes it."""
        try:
            task = make()
        except EntvizError as error:
            return Job.refused("refused", error)
        key, identity = self._request_key(task)
        known: T | None = self.store.answer(key) if identity is not None else None
        if known is None:
            work = partial(self._work, task, key if identity is not None else None)
            return self._submit(key, work, session, slot, priority)
        if slot is not None:
            self.worker.withdraw(session, slot)
        return Job.answered(key, known)

    def _request_key(self, task: Task[T]) -> tuple[str, str | None]:
        """The key under which a task's answer is found without its model, and the model's identity where it is here."""
        identity = model_identity(task.model)
        options = task.options() | {"model": task.model}
        return request_key(task.kind, model=identity or "unknown", text=task.text, options=options), identity

    def _submit(
        self, key: str, work: Callable[[Turn], T], session: str, slot: str | None, priority: int
    ) -> Job[T]:
        try:
            return self.worker.submit(key, work, session=session, slot=slot, priority=priority)
        except EntvizError as error:
            return Job.refused(key, error)

    def _work(self, task: Task[T], request: str | None, progress: Turn) -> T:
        try:
            loaded = self._model(task.model, progress)
            windows = task.read(loaded)
            options = task.options() | {"model": task.model}
            key = result_key(task.kind, model=loaded.fingerprint, tokens=windows.fingerprint, options=options)
            result: T | None = self.store.get(key)
            if result is None:
                result = task.compute(Material(loaded, windows, self._hidden_states(), self.store), progress)
                run = Run(
                    kind=task.kind,
                    model=task.model,
                    fingerprint=loaded.fingerprint,
                    description=task.describe(),
                    options=options,
                    summary=task.summarize(result),
                )
                self.store.put(key, run, result, text=task.text)
            if request is not None:
                self.store.link(request, key)
            return result
        finally:
            self._rest.disturb()

    def _export(self, wanted: Export, progress: Turn) -> Exported:
        try:
            wanted.check()
            evaluation = self._work(wanted.evaluation, None, progress)
            return wanted.write(self._model(wanted.request.model, progress), evaluation, progress)
        finally:
            self._rest.disturb()

    def _prepare(self, model: str, progress: Turn) -> None:
        self._model(model, progress)
        self._rest.disturb()

    def _plan(self, request: Request, level: str, progress: Turn) -> Plan:
        from entviz.comparison.plan import plan

        loaded = self._model(request.model, progress)
        found = plan(loaded, request.read(loaded), level, progress=progress)
        self._rest.disturb()
        return found

    def _spell(self, key: str, model: str, rows: list[list[int]], progress: Turn) -> list[list[str]]:
        from entviz.spelling import spell

        loaded = self._model(model, progress)
        pieces: list[list[str]] = []
        for row in rows:
            pieces.append(spell(loaded.tokenizer, row))
            progress(len(pieces), len(rows))
        self._spelled.put(key, pieces, _PIECE_BYTES * sum(map(len, rows)))
        self._rest.disturb()
        return pieces

    def _model(self, name: str, progress: Turn) -> LoadedModel:
        loaded = self.shelf.find(name)
        if loaded is None:
            with progress.aside():  # loading may mean downloading, and others can compute meanwhile
                loaded = self.shelf.get(name)
        return loaded

    def _hidden_states(self) -> StateCache:
        from entviz.pruning.states import StateCache

        with self._making:
            if self._states is None:
                self._states = StateCache(self._states_bytes)
            return self._states

    def _give_back(self) -> None:
        if self.worker.unfinished:
            self._rest.disturb()
            return
        if self._states is not None:
            self._states.clear()
        self.store.forget_memory()
        self.worker.forget_finished()
        give_memory_back()


_ONE = threading.Lock()
_workbench: Workbench | None = None


def workbench() -> Workbench:
    """The process's workbench, made when first asked for.

    Raises ``OptionError`` where a limit in the environment is not a whole number above 0.
    """
    global _workbench
    with _ONE:
        if _workbench is None:
            _workbench = Workbench(
                worker=Worker(
                    kept=16,  # results are in the store; this is for failures
                    live=_limit("ENTVIZ_LIVE_JOBS", 32),
                    queued=_limit("ENTVIZ_QUEUED_JOBS", 200),
                    per_session=_limit("ENTVIZ_SESSION_JOBS", 8),
                ),
                store=Store(disk_bytes=_limit("ENTVIZ_STORE_MB", 500) * 10**6),
                shelf=Shelf(_limit("ENTVIZ_MODELS_KEPT", 2)),
                states_bytes=_limit("ENTVIZ_STATES_MB", 0) * 10**6 or None,
            )
            atexit.register(_workbench.close)
        return _workbench


def _limit(name: str, default: int) -> int:
    value = os.environ.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise OptionError(f"{name} is {value[:40]!r}: set it to a whole number above 0, or not at all.")
    return int(value)
