"""The errors of entviz, a small hierarchy. Each message says what was wrong and what to do about it.

The command line prints the message and exits with status 2; a page shows it and keeps the rest of the screen.
"""

import re

_LONGEST_WORD = 300  # characters; paths may be long, but nobody reads a name of thousands of digits
_SHOWN = 100  # characters shown of a longer word


class EntvizError(Exception):
    """Base of every error that a user can correct; its message is a sentence for the user.

    Messages quote the user's input, so words of more than 300 characters are shortened, and unpaired surrogates, which
    browsers do not accept, are spelled out.
    """

    def __init__(self, message: str = "") -> None:
        message = message.encode("utf-8", "backslashreplace").decode("utf-8")
        super().__init__(re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: f"{word[0][:_SHOWN]}…", message))


class ModelError(EntvizError):
    """The model cannot be found, is not a causal language model, or cannot be read safely."""


class TextError(EntvizError):
    """The text cannot be read, is empty, or is too short to fill a window."""


class TooShortError(TextError):
    """The text is empty, or too short to fill the requested windows."""


class BlockError(EntvizError):
    """A block, level or prune set does not exist in the model, or no block would be left in the model."""


class OptionError(EntvizError):
    """A metric, criterion or number is unknown or cannot be used here."""


class ExportError(EntvizError):
    """A pruned model cannot be written in the requested format or to the requested place."""


class StoreError(EntvizError):
    """Stored results cannot be read: their database is locked, cannot be reached, or is on a full disk."""


class ProcessEndedError(EntvizError):
    """The process that computes for the dashboard has ended, by a crash or for want of memory, or cannot be started."""


class Cancelled(EntvizError):
    """Work was stopped on request; raised from inside a progress report."""
