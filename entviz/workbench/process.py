"""The process's one workbench, with the limits that the environment sets."""

from __future__ import annotations

import atexit
import os
import threading

from entviz.errors import OptionError
from entviz.jobs import Worker
from entviz.store import Store
from entviz.workbench.bench import Workbench
from entviz.workbench.shelf import Shelf

_ONE = threading.Lock()
_workbench: Workbench | None = None


def workbench() -> Workbench:
    """The process's workbench, made when first asked for.

    Raises ``OptionError`` where a limit in the environment is not a whole number above 0.
    """
    global _workbench
    with _ONE:
        if _workbench is None:
            _workbench = Workbench(
                worker=Worker(
                    kept=16,  # results are in the store; this is for failures
                    live=_limit("ENTVIZ_LIVE_JOBS", 32),
                    queued=_limit("ENTVIZ_QUEUED_JOBS", 200),
                    per_session=_limit("ENTVIZ_SESSION_JOBS", 8),
                ),
                store=Store(disk_bytes=_limit("ENTVIZ_STORE_MB", 500) * 10**6),
                shelf=Shelf(_limit("ENTVIZ_MODELS_KEPT", 2)),
                states_bytes=_limit("ENTVIZ_STATES_MB", 0) * 10**6 or None,
            )
            atexit.register(_workbench.close)
        return _workbench


def _limit(name: str, default: int) -> int:
    value = os.environ.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise OptionError(f"{name} is {value[:40]!r}: set it to a whole number above 0, or not at all.")
    return int(value)
