"""The workbench: one method for each kind of result that a page asks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from entviz.blocks import KINDS, PruneSet, in_order_of_kind
from entviz.errors import EntvizError, OptionError
from entviz.estimators import specs_in_order
from entviz.jobs import Job, Turn, Worker
from entviz.store import Run, Store
from entviz.tasks import BUILT_IN, read_task, task_titles
from entviz.workbench import rankings
from entviz.workbench.comparing import Compare, ContrastBlocks, MeasureAngles
from entviz.workbench.desk import Desk
from entviz.workbench.exporting import Export
from entviz.workbench.identity import model_identity
from entviz.workbench.judging import JudgeCriteria, MeasurePairs
from entviz.workbench.keys import asked_key
from entviz.workbench.rest import Rest, give_memory_back
from entviz.workbench.shelf import Shelf
from entviz.workbench.tasks import Analyze, Evaluate, Generate, Request, Score
from entviz.workbench.workshop import Workshop

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.comparison.grid.result import Comparison
    from entviz.comparison.interactions.interactions import Interactions
    from entviz.comparison.interactions.plan import Plan
    from entviz.comparison.pair.pair import Angles, Contrast
    from entviz.comparison.trust.trust import Trust
    from entviz.criteria.ranking import Ranking
    from entviz.evaluation.generation import Generation
    from entviz.evaluation.loss import Evaluation
    from entviz.evaluation.tasks import TaskResult
    from entviz.export import Exported
    from entviz.tasks import Task as ChoiceTask

INTERACTIVE, BACKGROUND = 1, -1  # before other work, and after a session's other jobs
REST_AFTER = 120.0  # seconds


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
        self._rest = Rest(rest_after, self._give_back)
        self.workshop = Workshop(self.store, self.shelf, states_bytes)
        self._desk = Desk(self.worker, self.store, self.workshop, self._rest)

    def analyze(
        self, request: Request, metrics: Sequence[str], session: str, *, levels: Sequence[str] = KINDS
    ) -> Job[Analysis]:
        """Entropy at every site and importance of every block."""
        return self._desk.ask(
            lambda: Analyze(request, specs_in_order(metrics), in_order_of_kind(levels)),
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
        along: Sequence[str] = (),
    ) -> Job[Ranking]:
        """Blocks in the order in which any criterion of ``entviz.criteria`` drops them.

        A criterion that only measures shares the analysis of the same text (with the metrics ``along``), and one
        whose order does not depend on the budget is computed once for all numbers of blocks. A search's partial result
        is its best ranking so far.
        """
        choice = rankings.Choice(
            criterion, estimator, level, budget, protect, stage, seed, seconds, tuple(along)
        )
        try:
            metrics = choice.metrics
        except EntvizError as error:
            return Job.refused("refused", error)
        if metrics is not None:
            return choice.of_analysis(self.analyze(request, metrics, session))
        return choice.of_task(self._desk.ask(lambda: choice.task(request), session, "rank"))

    def evaluate(
        self, request: Request, drop: str, session: str, dtype: str = "float32", supersede: bool = True
    ) -> Job[Evaluation]:
        """What a prune set costs. The job's partial result is the evaluation of the windows so far.

        With ``supersede`` the session no longer waits for the evaluation that it asked for before.
        """
        slot = "evaluate" if supersede else None
        return self._desk.ask(
            lambda: Evaluate(request, PruneSet.parse(drop), dtype), session, slot, priority=INTERACTIVE
        )

    def generate(
        self, request: Request, prompt: str, drop: str, max_new_tokens: int, session: str, *, side: str = ""
    ) -> Job[Generation]:
        """A greedy continuation of ``prompt``. The job's partial result is the continuation so far.

        One dense and one pruned continuation is wanted at a time; a page that shows more names their sides.
        """
        slot = f"generate {side or ('pruned' if drop.strip() else 'dense')}"
        return self._desk.ask(
            lambda: Generate(request.model, prompt, PruneSet.parse(drop), max_new_tokens, request.begin),
            session,
            slot,
        )

    def spell(self, model: str, token_ids: Sequence[Sequence[int]], session: str) -> Job[list[list[str]]]:
        """Each token of several sequences as the piece of text that it stands for.

        Kept in memory only: it is quickly made again, and no result that anyone would look up.
        """
        rows = [[int(token_id) for token_id in row] for row in token_ids]
        key, known = self.workshop.spelling(model, rows)
        if known is not None:
            return Job.answered(key, known)
        return self._desk.submit(
            key, partial(self.workshop.spell, key, model, rows), session, None, INTERACTIVE
        )

    def score(
        self,
        model: str,
        task: ChoiceTask | str,
        drop: str,
        session: str,
        *,
        limit: int | None = None,
        dtype: str = "float32",
        begin: bool = True,
    ) -> Job[TaskResult]:
        """Accuracy on a multiple-choice task, given as it was read or by its name; never by a file's.

        The job's partial result is that of the items so far.
        """

        def make() -> Score:
            if isinstance(task, str) and task not in task_titles():
                raise OptionError(f"There is no task '{task[:60]}': choose from {', '.join(task_titles())}.")
            known = read_task(task) if isinstance(task, str) and task in BUILT_IN else task
            return Score(model, known, PruneSet.parse(drop), limit, dtype, begin)

        return self._desk.ask(make, session, None)

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
        return self._desk.ask(lambda: Compare(request, *choices, task, limit), session, "compare")

    def earlier_comparison(self, request: Request) -> tuple[Run, Comparison] | None:
        """The newest comparison that was made of this text with this model, be it unfinished; reads the store only."""
        for run in self.store.runs(kind="comparison", model=request.model, limit=20):
            if self.store.text(run.key) == request.text:
                found: Comparison | None = self.store.get(run.key)
                if found is not None:
                    return run, found
        return None

    def earlier_analysis(self, model: str) -> Analysis | None:
        """The newest analysis of any text with this model, which tells how fast it is here; reads the store only."""
        for run in self.store.runs(kind="analysis", model=model, limit=20):
            # What a command ran need not have been on this device, or in this number type.
            found: Analysis | None = self.store.get(run.key) if "shell" not in run.options else None
            if found is not None:
                return found
        return None

    def contrast(self, request: Request, a: str, b: str, session: str) -> Job[Contrast]:
        """What each block costs within one prune set and within another."""
        return self._desk.ask(
            lambda: ContrastBlocks(request, PruneSet.parse(a), PruneSet.parse(b)), session, "contrast"
        )

    def angles(self, request: Request, session: str) -> Job[Angles]:
        """Angular distance across every run of consecutive layers."""
        return self._desk.ask(lambda: MeasureAngles(request), session, "angles")

    def trust(self, request: Request, level: str, session: str) -> Job[Trust]:
        """Each criterion's scores against the measured damage of every block of a level."""
        return self._desk.ask(lambda: JudgeCriteria(request, level), session, "trust")

    def interactions(self, request: Request, level: str, session: str) -> Job[Interactions]:
        """The damage of every pair of blocks. The job's partial result is that of the pairs so far."""
        return self._desk.ask(lambda: MeasurePairs(request, level), session, "interactions")

    def knows(self, kind: str, request: Request, level: str) -> bool:
        """Whether :meth:`trust` or :meth:`interactions`, by its name, has its answer in the store."""
        of_kind: dict[str, type[JudgeCriteria | MeasurePairs]]
        of_kind = {"trust": JudgeCriteria, "interactions": MeasurePairs}
        try:
            task = of_kind[kind](request, level)
        except EntvizError:  # which that method will say
            return False
        return self._desk.knows(task)

    def plan(self, request: Request, level: str, session: str) -> Job[Plan]:
        """How long leaving out every block, and every pair, takes here. It is timed anew, and kept in no store."""
        try:
            key = f"{asked_key(MeasurePairs(request, level))[0]} plan"
        except EntvizError as error:
            return Job.refused("refused", error)
        return self._desk.submit(
            key, partial(self.workshop.plan, request, level), session, "plan", INTERACTIVE
        )

    def export(self, wanted: Export, session: str) -> Job[Exported]:
        """Write a pruned model. Each call writes anew, so a page keeps the job; nothing of it is stored."""
        work = partial(self.workshop.export, wanted)
        return self._desk.submit(f"export {uuid4()}", work, session, "export")

    def prepare(self, model: str, session: str) -> Job[None]:
        """Load a model in the background, so that the first answer that needs it comes sooner."""
        key = f"prepare {model_identity(model)} {model}"
        if self.shelf.find(model) is not None:
            return Job.answered(key, None)

        def load(progress: Turn) -> None:
            self.workshop.model(model, progress)

        return self._desk.submit(key, load, session, None, BACKGROUND)

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

    def _give_back(self) -> None:
        if self.worker.unfinished:
            self._rest.disturb()
            return
        self.workshop.forget_states()
        self.store.forget_memory()
        self.worker.forget_finished()
        give_memory_back()
