"""Compute studies, both in jobs of the queue and in a shell: load the model, read the text, compute, store.

runner = Runner(open_store(), ModelCache())
runner.answer(study, turn)                    # in a job: a stored result is reused
runner.run_now(study, progress).result        # in a shell: always computed, then stored
runner.resume(study, progress)                # in a sweep: a stored result is reused, outside a job
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from entviz.progress import Progress, silent
from entviz.runtime.identity import model_identity
from entviz.runtime.kept_states import KeptStates
from entviz.runtime.keys import asked_key
from entviz.runtime.model_cache import PAGES, ModelCache
from entviz.studies.results import StudyResults
from entviz.studies.samples import Loading
from entviz.studies.study import Material, StoredStudy, Study

if TYPE_CHECKING:
    from entviz.comparison.grid.estimate import Estimate
    from entviz.comparison.grid.result import Comparison
    from entviz.decoder.states import StateCache
    from entviz.models import LoadedModel
    from entviz.runtime.queue import Turn
    from entviz.store.keeping import Keeping
    from entviz.studies.comparison import Compare

T = TypeVar("T")
log = logging.getLogger("entviz")


@dataclass(frozen=True)
class Begun(Generic[T]):
    """A study whose model is loaded and whose text is read.

    Attributes:
        study: the study, with everything filled in that depends on the model or the text.
        loaded: the model.
        windows: the model's input.
        identity: the identity of the model's files before they were read; None if they are not on this machine.
    """

    study: Study[T]
    loaded: LoadedModel
    windows: Any
    identity: str | None


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """A finished study: the study as computed, the model, its input, and the result."""

    study: Study[T]
    loaded: LoadedModel
    windows: Any
    result: T


class Runner:
    """Computes studies. Each method can take long, and raises ``EntvizError``.

    Args:
        store: the store of results; None to store nothing.
        models: the models in memory.
        states: the hidden states that studies start from; its own ones by default.
    """

    def __init__(self, store: Keeping | None, models: ModelCache, states: KeptStates | None = None) -> None:
        self._store = store
        self._models = models
        self._states = states or KeptStates()

    def answer(self, study: Study[T], turn: Turn, request: str | None = None) -> T:
        """A study's result, stored or computed. If a key ``request`` is given, it is later found under that key too."""
        begun = self._begin(study, turn, turn.aside)
        results = StudyResults(self._store, begun.loaded)
        result = self._result(begun, results, turn, self._states.cache, turn.aside)
        if request is not None and isinstance(begun.study, StoredStudy) and self._store is not None:
            self._store.link(request, results.key(begun.study, begun.windows.fingerprint))
        return result

    def resume(self, study: Study[T], progress: Progress = silent) -> T:
        """A study's result outside a job, stored or computed. A later request finds it before its model is loaded."""
        if (basis := study.basis) is not None:
            derived: T = basis.derive(self.resume(basis.study, progress))
            return derived
        if not isinstance(study, StoredStudy) or self._store is None:
            begun = self._begin(study, progress, nullcontext)
            return self._result(
                begun, StudyResults(None, begun.loaded), progress, self._states.cache, nullcontext
            )
        key, identity = asked_key(study)
        known: T | None = self._store.answer(key) if identity is not None else None
        if known is not None:
            return known
        begun = self._begin(study, progress, nullcontext)
        results = StudyResults(self._store, begun.loaded)
        result = self._result(begun, results, progress, self._states.cache, nullcontext)
        if identity is not None and identity == begun.identity and isinstance(begun.study, StoredStudy):
            self._store.link(key, results.key(begun.study, begun.windows.fingerprint))
        return result

    def begin(self, study: Study[T]) -> Begun[T]:
        """Load a study's model and read its text, for :meth:`run_now`."""
        return self._begin(study, silent, nullcontext)

    def run_now(self, study: Study[T] | Begun[T], progress: Progress = silent) -> Outcome[T]:
        """Compute a study, even if its result is stored, and store the result.

        A relative path of a model is stored as an absolute path, which means the same in every directory.
        """
        begun = study if isinstance(study, Begun) else self.begin(study)
        begun = replace(begun, study=begun.study.with_model(placed(begun.study.model)))
        loaded, windows = begun.loaded, begun.windows
        results = StudyResults(self._store, loaded, fresh=True)
        basis = begun.study.basis
        if basis is None:
            result = self._result(begun, results, progress, None, nullcontext)
            self._keep(begun, results, result)
        else:
            begun.study.check_model(loaded, windows)
            below = replace(begun, study=basis.study)
            whole = self._result(below, results, progress, None, nullcontext)
            self._keep(below, results, whole)
            result = basis.derive(whole)
        return Outcome(begun.study, loaded, windows, result)

    def estimate(
        self,
        study: Compare | Begun[Comparison],
        progress: Progress,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        fresh: bool = False,
    ) -> Estimate:
        """How long a comparison takes here and now, told without doing it.

        Args:
            fresh: whether it will be computed again even where its result is known, as :meth:`run_now` does.
        """
        from entviz.comparison.grid.estimate import Estimate

        begun = study if isinstance(study, Begun) else self._begin(study, progress, aside)
        results = StudyResults(self._store, begun.loaded, fresh=fresh)
        asked = cast("Compare", begun.study)
        known: Comparison | None = results.get(asked, begun.windows.fingerprint)
        if known is not None:
            return Estimate(known.rows_total, 0.0)
        return asked.estimate(self._material(begun, results, progress, self._states.cache, aside), progress)

    def model(
        self,
        name: str,
        progress: Progress,
        aside: Callable[[], AbstractContextManager[None]],
        loading: Loading = PAGES,
    ) -> LoadedModel:
        """A model, loaded if it is not in memory. Others can compute meanwhile, because a download may take long."""
        loaded = self._models.find(name, loading)
        if loaded is None:
            with aside():
                loaded = self._models.get(name, progress, loading)
        return loaded

    def _begin(
        self, study: Study[T], progress: Progress, aside: Callable[[], AbstractContextManager[None]]
    ) -> Begun[T]:
        study.check()
        identity = model_identity(study.model)
        loaded = self.model(study.model, progress, aside, study.sample.loading)
        windows = study.read(loaded)
        return Begun(study.settled(loaded, windows), loaded, windows, identity)

    def _result(
        self,
        begun: Begun[T],
        results: StudyResults,
        progress: Progress,
        states: StateCache | None,
        aside: Callable[[], AbstractContextManager[None]],
    ) -> T:
        """The result of a study without a basis. It is stored here, unless :meth:`run_now` stores it itself."""
        study, windows = begun.study, begun.windows
        known: T | None = None
        if isinstance(study, StoredStudy):
            known = results.get(study, windows.fingerprint)
        if known is not None:
            return known
        result = study.compute(self._material(begun, results, progress, states, aside), progress)
        if isinstance(study, StoredStudy) and not results.fresh:
            results.put(study, windows.fingerprint, result)
        return result

    def _material(
        self,
        begun: Begun[Any],
        results: StudyResults,
        progress: Progress,
        states: StateCache | None,
        aside: Callable[[], AbstractContextManager[None]],
    ) -> Material:
        return Material(
            begun.loaded,
            begun.windows,
            results,
            states,
            answer=lambda other: self._result(replace(begun, study=other), results, progress, states, aside),
            aside=aside,
        )

    def _keep(self, begun: Begun[T], results: StudyResults, result: T) -> None:
        """Store a result computed in a shell. If the model's files have not changed, a page finds it directly."""
        study = begun.study
        if not isinstance(study, StoredStudy) or self._store is None:
            return
        try:
            key = results.put(study, begun.windows.fingerprint, result)
            asked, identity = asked_key(study)
            same_files = identity is not None and identity == begun.identity
            if same_files and not study.shell_options() and results.text_of(study) is not None:
                self._store.link(asked, key)
        except UnicodeError:
            # A shell passes on bytes that are not text as characters that no database accepts.
            log.warning("The result is not kept: its text or a name in it is not valid Unicode.")


def placed(model: str) -> str:
    """A model's name in a form that means the same in every directory: a path is made absolute."""
    from entviz.models import CATALOG

    path = Path(model)
    try:
        path = path.expanduser()
        return str(path.absolute()) if model not in CATALOG and path.exists() else model
    except (OSError, RuntimeError, ValueError):  # not a possible file name
        return model
