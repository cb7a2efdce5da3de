"""One request in the server while the child computes it.

    with child.talk() as talk:
        result, held = Conductor(turn, store).conduct(talk, request)

The child asks and waits. The answer to a report is the job's turn: it comes once the queue lets the job compute again,
and is ``Cancelled`` if nobody waits for the job any more. So turns pass between the requests of the child exactly as
between threads of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from entviz.errors import Cancelled
from entviz.failure import in_a_sentence
from entviz.runtime.apart.messages import Answer, Begin, CallStore, Ended, Report, StepAside, StepBack

if TYPE_CHECKING:
    from entviz.runtime.queue import Turn
    from entviz.runtime.requests import Request
    from entviz.store.keeping import Keeping


class ChildDied(Exception):
    """The child has ended. ``computed`` says whether it may have done so because of the request that learns of it."""

    def __init__(self, sentence: str, *, computed: bool) -> None:
        super().__init__(sentence)
        self.computed = computed


class Talk(Protocol):
    """A conversation about one request with what computes it."""

    def say(self, message: object) -> None:
        """Send a message. Raises ``ChildDied`` if the child ended before, while the request did not compute."""

    def hear(self) -> Any:
        """The next message, once it comes. Raises ``ChildDied`` if the child ends first."""


class Conductor:
    """Answers what the child asks about one request.

    Args:
        turn: the turn of the request's job.
        store: the store of results.
    """

    def __init__(self, turn: Turn, store: Keeping) -> None:
        self._turn = turn
        self._store = store
        self._asides = ExitStack()
        self._last: Any = None  # read from the store or put into it

    def conduct(self, talk: Talk, request: Request[Any]) -> tuple[Any, Mapping[str, str | None]]:
        """The result of a request, and the models that the child then holds.

        Raises:
            EntvizError: if there is no result.
            ChildDied: if the child ends first.
        """
        talk.say(Begin(request))
        # Errors leave from within, so that who stepped aside does not wait for the turn again.
        with self._asides:
            message = self._until_it_ended(talk)
            if message.error is not None:
                raise message.error
        return self._last if message.is_kept else message.result, message.held

    def _until_it_ended(self, talk: Talk) -> Ended:
        try:
            while not isinstance(message := talk.hear(), Ended):
                talk.say(self._answer(message))
            return message
        except ChildDied:
            raise
        except BaseException:  # what nobody foresaw; the child is not left waiting for its next answer
            talk.say(Answer(error=Cancelled("Stopped.")))
            raise

    def _answer(self, question: object) -> Answer:
        try:
            match question:
                case Report(done, total, partial):
                    self._turn(done, total, partial)
                case StepAside():
                    self._asides.enter_context(self._turn.aside())
                case StepBack():
                    self._asides.pop_all().close()
                case CallStore(method, arguments, options):
                    return Answer(self._call_store(method, arguments, options))
        except UnicodeError as error:  # a text that no database accepts, for which the work is prepared
            return Answer(error=error)
        except Exception as error:  # noqa: BLE001 - the child waits for an answer, whatever happens here
            return Answer(error=in_a_sentence("the process that computes", error))
        return Answer()

    def _call_store(self, method: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        found = getattr(self._store, method)(*arguments, **options)
        if method in ("get", "answer"):
            self._last = found
        elif method == "put":
            self._last = arguments[2]
        return found
