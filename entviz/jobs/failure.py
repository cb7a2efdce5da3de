"""What a user reads when work fails; the traceback goes to the log named ``entviz``."""

from __future__ import annotations

import logging

from entviz.errors import EntvizError

log = logging.getLogger("entviz")


def in_a_sentence(key: str, error: BaseException) -> EntvizError:
    """What the user reads about a failure. Tracebacks are dropped: their frames would keep tensors alive."""
    if isinstance(error, EntvizError):
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    log.error("job %s failed", key, exc_info=error)
    # torch is not imported here: its own class is recognised by name, its processor's allocator by the message.
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"} or "can't allocate memory" in str(error):
        return EntvizError("There was not enough memory; use fewer or shorter windows, or a smaller model.")
    return EntvizError(
        f"Something failed inside entviz ({type(error).__name__}); the log of the server has the details."
    )
