"""The process's one workbench, with the limits that the environment sets."""

from __future__ import annotations

import atexit
import threading

from entviz.jobs import Worker
from entviz.limits import limit
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
                    live=limit("ENTVIZ_LIVE_JOBS", 32),
                    queued=limit("ENTVIZ_QUEUED_JOBS", 200),
                    per_session=limit("ENTVIZ_SESSION_JOBS", 8),
                ),
                store=Store(),
                shelf=Shelf(limit("ENTVIZ_MODELS_KEPT", 2)),
                states_bytes=limit("ENTVIZ_STATES_MB", 0) * 10**6 or None,
            )
            atexit.register(_workbench.close)
        return _workbench
