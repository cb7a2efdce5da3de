"""A worker of a sweep in a process of its own, which Ray starts; see :mod:`entviz.sweep.rays`."""

from __future__ import annotations

from entviz.sweep.config import SweepConfig
from entviz.sweep.queue import Task
from entviz.sweep.work import CellWorker, Outcome


class ModelActor:
    """A worker with one model, in a process of its own; made by Ray.

    Args:
        database: the URL of the database; None for this machine's own.
        disk_bytes: how much the database keeps; with a smaller bound a worker would remove what others have found.
    """

    def __init__(self, config: SweepConfig, database: str | None, disk_bytes: int) -> None:
        import torch

        from entviz import logs
        from entviz.studies.registry import open_store

        logs.start(tracebacks=False)
        torch.set_num_threads(config.cpus)
        self._worker = CellWorker(config, open_store(database, disk_bytes=disk_bytes))

    def started(self) -> bool:
        """True, once it has started."""
        return True

    def run(self, task: Task) -> Outcome:
        """Do a task; its result is in the store when this returns."""
        return self._worker.run(task)
