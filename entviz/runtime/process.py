"""The process's one runtime, with the limits that the environment sets."""

from __future__ import annotations

import atexit
import threading

from entviz.limits import limit
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.queue import Worker
from entviz.runtime.runtime import Runtime
from entviz.studies.registry import open_store

_ONE = threading.Lock()
_runtime: Runtime | None = None


def runtime() -> Runtime:
    """The process's runtime, created at the first call.

    Raises ``OptionError`` if a limit in the environment is not a whole number above 0.
    """
    global _runtime
    with _ONE:
        if _runtime is None:
            _runtime = Runtime(
                worker=Worker(
                    kept=16,  # results are in the store; this is for failures
                    live=limit("ENTVIZ_LIVE_JOBS", 32),
                    queued=limit("ENTVIZ_QUEUED_JOBS", 200),
                    per_session=limit("ENTVIZ_SESSION_JOBS", 8),
                ),
                store=open_store(),
                models=ModelCache(limit("ENTVIZ_MODELS_KEPT", 2)),
                states_bytes=limit("ENTVIZ_STATES_MB", 0) * 10**6 or None,
            )
            atexit.register(_runtime.close)
        return _runtime
