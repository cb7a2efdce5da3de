"""Where tasks are computed: with the models in memory, hidden states to start from, and results that are known."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from entviz.jobs import Turn
from entviz.store import Run
from entviz.store.memory import Memory
from entviz.workbench.identity import model_identity
from entviz.workbench.keys import kept_key, options_of
from entviz.workbench.tasks import Material, Request, Task

if TYPE_CHECKING:
    from entviz.comparison.interactions.plan import Plan
    from entviz.decoder.states import StateCache
    from entviz.export import Exported
    from entviz.models import LoadedModel
    from entviz.store import Store
    from entviz.workbench.exporting import Export
    from entviz.workbench.shelf import Shelf

T = TypeVar("T")

_SPELLED_BYTES = 10_000_000
_PIECE_BYTES = 70  # what a short text takes in memory, roughly


class Workshop:
    """Computes inside jobs: each method that takes ``progress`` may take long, and raises ``EntvizError``.

    Args:
        states_bytes: what hidden states may take; None for what suits the machine.
    """

    def __init__(self, store: Store, shelf: Shelf, states_bytes: int | None = None) -> None:
        self._store = store
        self._shelf = shelf
        self._states_bytes = states_bytes
        self._states: StateCache | None = None
        self._spelled = Memory(_SPELLED_BYTES)
        self._making = threading.Lock()

    def do(self, task: Task[T], request: str | None, progress: Turn) -> T:
        """The result of a task, kept in the store; found there later under the key ``request``, if one is given."""
        loaded = self.model(task.model, progress)
        windows = task.read(loaded)
        key = kept_key(task, loaded, windows.fingerprint)
        result: T | None = self._store.get(key)
        if result is None:
            result = task.compute(Material(loaded, windows, self.states, self._store), progress)
            run = Run(
                kind=task.kind,
                model=task.model,
                fingerprint=loaded.fingerprint,
                description=task.describe(),
                options=options_of(task),
                summary=task.summarize(result),
            )
            self._store.put(key, run, result, text=task.text)
        if request is not None:
            self._store.link(request, key)
        return result

    def export(self, wanted: Export, progress: Turn) -> Exported:
        """Measure a prune set and write the model without it."""
        wanted.check()
        evaluation = self.do(wanted.evaluation, None, progress)
        return wanted.write(self.model(wanted.request.model, progress), evaluation, progress)

    def plan(self, request: Request, level: str, progress: Turn) -> Plan:
        """How long leaving out every block, and every pair, takes here."""
        from entviz.comparison.interactions.plan import plan

        loaded = self.model(request.model, progress)
        return plan(loaded, request.read(loaded), level, progress=progress)

    def spelling(self, model: str, token_ids: Sequence[Sequence[int]]) -> tuple[str, list[list[str]] | None]:
        """The key of these tokens' pieces of text, and the pieces where they are known. Takes no time."""
        digest = hashlib.sha256(json.dumps(token_ids).encode()).hexdigest()
        key = f"spell {model_identity(model)} {model} {digest}"
        known: list[list[str]] | None = self._spelled.get(key)
        return key, known

    def spell(
        self, key: str, model: str, token_ids: Sequence[Sequence[int]], progress: Turn
    ) -> list[list[str]]:
        """Each token as its piece of text. Kept in memory only: it is quickly made again."""
        from entviz.text.spelling import spell

        loaded = self.model(model, progress)
        pieces: list[list[str]] = []
        for row in token_ids:
            pieces.append(spell(loaded.tokenizer, row))
            progress(len(pieces), len(token_ids))
        self._spelled.put(key, pieces, _PIECE_BYTES * sum(map(len, token_ids)))
        return pieces

    def model(self, name: str, progress: Turn) -> LoadedModel:
        """A model, loaded where it is not in memory."""
        loaded = self._shelf.find(name)
        if loaded is None:
            with progress.aside():  # loading may mean downloading, and others can compute meanwhile
                loaded = self._shelf.get(name, progress)
        return loaded

    @property
    def states(self) -> StateCache:
        """The hidden states that evaluations start from."""
        from entviz.decoder.states import StateCache

        with self._making:
            if self._states is None:
                self._states = StateCache(self._states_bytes)
            return self._states

    def forget_states(self) -> None:
        """Give their memory back."""
        if self._states is not None:
            self._states.clear()
