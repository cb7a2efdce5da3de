"""What can go wrong, as a small hierarchy. Each message says what was wrong and what to do about it.

The command line prints the message and exits with status 2; a page shows it and keeps the rest of the screen.
"""

import re

_LONGEST_WORD = 300  # characters; a path may be long, a name of thousands of digits is not to be read
_SHOWN = 100  # of a longer word


class EntvizError(Exception):
    """Base of every error that a user can mend; its message is a sentence meant for the user.

    Messages quote what was given, so words of over 300 characters are shortened, and halves of characters (unpaired
    surrogates), which no browser takes, are spelled out.
    """

    def __init__(self, message: str = "") -> None:
        message = message.encode("utf-8", "backslashreplace").decode("utf-8")
        super().__init__(re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: f"{word[0][:_SHOWN]}…", message))


class ModelError(EntvizError):
    """The model cannot be found, is not a causal language model, or cannot be read safely."""


class TextError(EntvizError):
    """The text cannot be read, is empty, or is too short to fill a window."""


class TooShortError(TextError):
    """The text is empty, or too short to fill the windows asked for."""


class BlockError(EntvizError):
    """A block, level or prune set does not exist in the model, or nothing would be left of it."""


class OptionError(EntvizError):
    """A metric, criterion or number is not one that entviz knows or can use here."""


class ExportError(EntvizError):
    """A pruned model cannot be written in the format or to the place asked for."""


class StoreError(EntvizError):
    """What was kept cannot be read: its database is locked, out of reach, or on a disk that is full."""


class Cancelled(EntvizError):
    """Work was stopped on request; raised from inside a progress report."""
