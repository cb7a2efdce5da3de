"""Logging: warnings on the terminal, and errors with their tracebacks in a file of bounded size."""

from __future__ import annotations

import logging
import sys
from functools import cache
from logging.handlers import RotatingFileHandler
from pathlib import Path

from entviz.cache_directory import cache_directory

_MOST_BYTES = 1_000_000


def log_file() -> Path:
    """The file that holds the tracebacks; its older part is kept beside it as ``entviz.log.1``."""
    return cache_directory() / "entviz.log"


class _Quiet(RotatingFileHandler):
    """Ignores errors when the file cannot be written, for example on a full disk: the terminal shows the sentence."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the library's name
        pass


@cache
def start(*, tracebacks: bool) -> None:
    """Start the logger ``entviz``. Call it once in a process.

    Args:
        tracebacks: whether the terminal shows tracebacks too: true for a server, false for a command.
    """
    log = logging.getLogger("entviz")
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("entviz: %(message)s"))
    if not tracebacks:
        terminal.addFilter(lambda record: record.exc_info is None)
    log.addHandler(terminal)
    try:
        log_file().parent.mkdir(parents=True, exist_ok=True)
        file = _Quiet(log_file(), maxBytes=_MOST_BYTES, backupCount=1, encoding="utf-8", delay=True)
    except OSError:  # the cache directory cannot be created, so only the terminal is left
        return
    file.setLevel(logging.ERROR)
    file.setFormatter(logging.Formatter("%(asctime)s %(process)d %(message)s"))
    log.addHandler(file)
