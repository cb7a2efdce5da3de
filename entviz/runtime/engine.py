"""Where requests are computed: an engine. This one computes in this process, ``apart`` has one in a child process.

    engine = InProcess(store, ModelCache(), KeptStates())
    engine.compute(AnswerStudy(study, key), turn)

The queue calls an engine from the thread of a job, and the job's turn passes through it: an engine reports progress to
the turn, waits where the turn makes it wait, and ends the work where the turn raises ``Cancelled``. Queue, store and
pages know nothing else of where a model is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from entviz.runtime.kept_states import KeptStates
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.requests import Request
from entviz.runtime.runner import Runner

if TYPE_CHECKING:
    from entviz.runtime.queue import Turn
    from entviz.store.keeping import Keeping

T = TypeVar("T")


class Engine(ABC):
    """Computes requests, from many threads at once, and keeps models in memory for the next ones."""

    @abstractmethod
    def compute(self, request: Request[T], turn: Turn) -> T:
        """The result. This may take long. Raises ``EntvizError`` if there is none, ``Cancelled`` if ``turn`` does."""

    @abstractmethod
    def holds(self, model: str) -> bool:
        """Whether a model is in memory, as its files now are."""

    @abstractmethod
    def free_memory(self) -> None:
        """Free memory that nothing needs now. Models stay."""

    @abstractmethod
    def close(self) -> None:
        """End all work and free everything."""


class InProcess(Engine):
    """Computes in this process.

    Args:
        store: the store of results.
        models: the models in memory.
        states: the hidden states that studies start from.
    """

    def __init__(self, store: Keeping, models: ModelCache, states: KeptStates) -> None:
        self.models = models
        self.states = states
        self._runner = Runner(store, models, states)

    def compute(self, request: Request[T], turn: Turn) -> T:
        return request.compute(self._runner, turn)

    def holds(self, model: str) -> bool:
        return self.models.find(model) is not None

    def free_memory(self) -> None:
        self.states.forget()

    def close(self) -> None:
        self.states.forget()
