"""The process's one runtime, with the limits that the environment sets."""

from __future__ import annotations

import atexit
import threading

from entviz.limits import limit, switched_on
from entviz.runtime.apart import Apart, Settings
from entviz.runtime.engine import Engine, InProcess
from entviz.runtime.kept_states import KeptStates
from entviz.runtime.model_cache import ModelCache
from entviz.runtime.queue import Worker
from entviz.runtime.runtime import Runtime
from entviz.store import Store
from entviz.studies.registry import open_store

_ONE = threading.Lock()
_runtime: Runtime | None = None


def runtime() -> Runtime:
    """The process's runtime, created at the first call.

    Raises ``OptionError`` if a limit in the environment is not a whole number above 0, or a switch is not 0 or 1.
    """
    global _runtime
    with _ONE:
        if _runtime is None:
            worker = Worker(
                kept=16,  # results are in the store; this is for failures
                live=limit("ENTVIZ_LIVE_JOBS", 32),
                queued=limit("ENTVIZ_QUEUED_JOBS", 200),
                per_session=limit("ENTVIZ_SESSION_JOBS", 8),
            )
            settings = Settings(limit("ENTVIZ_MODELS_KEPT", 2), limit("ENTVIZ_STATES_MB", 0) * 10**6 or None)
            is_apart = switched_on("ENTVIZ_PROCESS_APART")
            store = open_store()
            engine = Apart(store, settings) if is_apart else _in_this_process(store, settings)
            _runtime = Runtime(worker=worker, store=store, engine=engine)
            atexit.register(_runtime.close)
        return _runtime


def _in_this_process(store: Store, settings: Settings) -> Engine:
    return InProcess(store, ModelCache(settings.models_kept), KeptStates(settings.states_bytes))
