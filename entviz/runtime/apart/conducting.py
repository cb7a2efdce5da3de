"""One request in the server while the child computes it.

    with child.talk() as talk:
        ended = conduct(talk, request, turn, store)

The child asks and waits. The answer to a report is the job's turn: it comes once the queue lets the job compute again,
and is ``Cancelled`` if nobody waits for the job any more. So turns pass between the requests of the child exactly as
between threads of one process.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from entviz.failure import in_a_sentence
from entviz.runtime.apart.messages import Answer, Begin, CallStore, Ended, Report, StepAside, StepBack

if TYPE_CHECKING:
    from entviz.runtime.apart.process import Talk
    from entviz.runtime.queue import Turn
    from entviz.runtime.requests import Request
    from entviz.store.keeping import Keeping


def conduct(talk: Talk, request: Request[Any], turn: Turn, store: Keeping) -> Ended:
    """The end of a request: its result, or why there is none.

    Raises:
        ChildDied: if the child ends first.
    """
    talk.say(Begin(request))
    with ExitStack() as asides:
        while not isinstance(message := talk.hear(), Ended):
            talk.say(_answer(message, turn, store, asides))
        if message.error is not None:
            raise message.error  # here, so that who stepped aside does not wait for the turn again
        return message


def _answer(question: object, turn: Turn, store: Keeping, asides: ExitStack) -> Answer:
    try:
        match question:
            case Report(done, total, partial):
                turn(done, total, partial)
            case StepAside():
                asides.enter_context(turn.aside())
            case StepBack():
                asides.pop_all().close()
            case CallStore(method, arguments, options):
                return Answer(getattr(store, method)(*arguments, **options))
    except UnicodeError as error:  # a text that no database accepts, for which the work is prepared
        return Answer(error=error)
    except Exception as error:  # noqa: BLE001 - the child waits for an answer, whatever happens here
        return Answer(error=in_a_sentence("the process that computes", error))
    return Answer()
