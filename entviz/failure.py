"""The last handler of errors: what a user reads when something unexpected fails. The traceback goes to the log.

try:
    work()
except Exception as error:
    print(in_a_sentence("export", error))
"""

from __future__ import annotations

import logging

from entviz.errors import EntvizError

log = logging.getLogger("entviz")


def in_a_sentence(work: str, error: BaseException) -> EntvizError:
    """The error to show to the user: a user error unchanged, any other error as a sentence, with its traceback logged.

    The returned error has no traceback, because its frames would keep tensors in memory.
    """
    if isinstance(error, EntvizError):
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    log.error("%s failed", work, exc_info=error)
    # torch is not imported here: its memory error is recognised by the name of its class, or by the message of the
    # allocator for the processor.
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"} or "can't allocate memory" in str(error):
        return EntvizError("There was not enough memory; use fewer or shorter windows, or a smaller model.")
    return EntvizError(
        f"Something failed inside entviz ({type(error).__name__}). The log has the details; please report it with them."
    )
