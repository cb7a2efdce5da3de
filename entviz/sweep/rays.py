"""Do the tasks of a queue on many workers, by Ray: on this machine, or on a cluster that has been started.

    with RayCrew(config, workers=4) as crew:                              # on this machine
        sweep(config, store, crew)
    with RayCrew(config, workers=8, address="10.0.0.1:6379") as crew:     # on a cluster
        sweep(config, store, crew)

Each worker is an actor that loads one model and keeps it as long as that model has tasks. Ray places it where there are
the processors, the GPUs and the memory for it. The worker itself writes each result to the store before it says that it
is done, so whoever dies takes no finished cell along. A task whose worker or machine died is given to a new worker; a
task that was lost twice fails by name.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from entviz.errors import OptionError, StoreError
from entviz.limits import limit
from entviz.sweep.config import SweepConfig
from entviz.sweep.crew import Report, ended
from entviz.sweep.memory import worker_bytes
from entviz.sweep.model_actor import ModelActor
from entviz.sweep.queue import Queue, Task
from entviz.sweep.work import BROKEN, Outcome

PATIENCE = 60.0  # seconds for which no machine may have room for a worker before the sweep gives up
STARTING = 600.0  # seconds for which nothing may happen while workers start
KNOCKING = 10.0  # seconds for a cluster's address to answer
_LOOK = 0.5  # seconds between two looks at the workers


def ray_or_error() -> Any:
    """The package; raises ``OptionError`` if it is not installed."""
    try:
        import ray
    except ModuleNotFoundError:
        raise OptionError(
            'Several workers need Ray, which is not installed: pip install "entviz[ray]", or use one worker.'
        ) from None
    return ray


def _knock(address: str) -> None:
    """Raise an ``OSError`` or a ``ValueError`` at once where nobody answers; Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCKING).close()


@dataclass
class _Place:
    """A place for one worker.

    Attributes:
        model: the worker's model.
        actor: the worker; None if the place is empty.
        task: the task that it is doing; None while it starts or waits.
        answer: what Ray will answer: that it has started, or how the task ended; None while it waits.
    """

    model: str = ""
    actor: Any = None
    task: Task | None = None
    answer: Any = None


class RayCrew:
    """Workers on this machine, or on the cluster at ``address``.

    Args:
        workers: how many work at the same time; None for as many as the cluster has room for, up to one a processor.
        address: as for ``ray.init``: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; None to start Ray here.
        database: the URL of the results that all workers share; None for ``ENTVIZ_DATABASE`` or this machine's own.

    Raises:
        OptionError: if Ray is not installed, the cluster cannot be reached, or its machines cannot share the database.
    """

    def __init__(
        self,
        config: SweepConfig,
        workers: int | None = None,
        address: str | None = None,
        database: str | None = None,
    ) -> None:
        self._config, self._ray = config, ray_or_error()
        self._database = database or os.environ.get("ENTVIZ_DATABASE")
        self._address, self._wanted = address, workers
        self._disk_bytes = limit("ENTVIZ_STORE_MB", 500) * 10**6
        self._places: list[_Place] = []
        self._remote: Any = None

    def __enter__(self) -> Self:
        ray, config = self._ray, self._config
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self._address is None:
            count = self._wanted or 1
            ray.init(
                address="local",
                num_cpus=count * config.cpus,
                include_dashboard=False,
                **quiet,
            )
        else:
            try:
                _knock(self._address)
                ray.init(address=self._address, **quiet)
            except (OSError, ValueError, RuntimeError) as error:  # a refused connection is an OSError
                line = str(error).partition("\n")[0][:200]
                raise OptionError(
                    f"There is no Ray cluster at {self._address} ({line}). Start one with ray start --head, or leave "
                    "out --address."
                ) from None
        try:
            self._check_database()
            count = self._wanted or max(1, int(ray.cluster_resources().get("CPU", 1) // config.cpus))
            self._places = [_Place() for _ in range(count)]
            self._remote = ray.remote(ModelActor)
        except BaseException:
            ray.shutdown()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in self._places:
            self._dismiss(place)
        self._ray.shutdown()

    def work(self, queue: Queue, report: Report) -> None:
        """Do every task. Raises ``StoreError`` if results cannot be stored, ``OptionError`` if no machine has room."""
        moved = time.monotonic()
        while not queue.is_done:
            for place in self._places:
                if place.answer is None:
                    self._employ(place, queue)
            answers = {place.answer: place for place in self._places if place.answer is not None}
            ready: list[Any] = []
            if answers:
                ready, _ = self._ray.wait(list(answers), num_returns=1, timeout=_LOOK)
                for answer in ready:
                    self._take(answers[answer], queue, report)
            else:
                time.sleep(_LOOK)
            if ready or any(place.task is not None for place in self._places):
                moved = time.monotonic()
            self._check_room(queue, time.monotonic() - moved, starting=bool(answers))
            report.alive()

    def _employ(self, place: _Place, queue: Queue) -> None:
        """Give a place its next task, or a new worker if its model has none left."""
        takeable = queue.takeable()
        if place.actor is not None and place.model in takeable:
            place.task = queue.take(place.model)
            place.answer = place.actor.run.remote(place.task)
            return
        if not takeable and queue.expects(place.model):
            return  # its model stays loaded for the cells that wait for a choice
        self._dismiss(place)
        open_to = [model for model in takeable if self._has_room(model)]
        if not open_to:
            return
        staff = {model: sum(other.model == model for other in self._places) for model in open_to}
        place.model = max(open_to, key=lambda model: takeable[model] / (1 + staff[model]))
        place.actor = self._remote.options(**self._needs(place.model)).remote(
            self._config, self._database, self._disk_bytes
        )
        # It takes a task only when it has started: until then, others may do what there is.
        place.answer = place.actor.started.remote()

    def _take(self, place: _Place, queue: Queue, report: Report) -> None:
        """Take a worker's answer, or note that it died."""
        errors = self._ray.exceptions
        task, answer = place.task, place.answer
        place.task = place.answer = None
        try:
            outcome: Outcome | bool = self._ray.get(answer)
        except errors.RayTaskError as error:
            if isinstance(error.cause, StoreError):
                raise StoreError(str(error.cause)) from None
            outcome = Outcome(BROKEN, reason=f"Its worker failed ({type(error.cause).__name__}).")
        except errors.RayError as error:  # an actor, a node or an object that is gone
            # A worker that did not start counts for one task, so that there is an end of trying.
            task = task or queue.take(place.model)
            self._dismiss(place)
            outcome = Outcome(BROKEN, reason=f"Its worker died ({type(error).__name__}).")
        if task is not None and isinstance(outcome, Outcome):
            ended(queue, report, task, outcome)

    def _dismiss(self, place: _Place) -> None:
        if place.actor is not None:
            self._ray.kill(place.actor, no_restart=True)
        place.actor, place.model, place.task, place.answer = None, "", None, None

    def _needs(self, model: str) -> dict[str, Any]:
        config = self._config
        return {
            "num_cpus": config.cpus,
            "num_gpus": config.gpus,
            "memory": worker_bytes(config, model),
            "max_restarts": 0,  # a new worker is made here, where attempts are counted
            "max_task_retries": 0,
        }

    def _has_room(self, model: str) -> bool:
        """Whether one more worker fits on a machine that is alive, beside those that are at work.

        Ray would otherwise let a task wait for a worker that starts only when others are done.
        """
        needs = self._needs(model)
        wanted = {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"], "memory": needs["memory"]}
        free = [dict(node["Resources"]) for node in self._ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in free):
            return False
        left = {name: sum(node.get(name, 0) for node in free) for name in wanted}
        for place in self._places:
            if place.actor is not None:
                used = self._needs(place.model)
                for name, key in (("CPU", "num_cpus"), ("GPU", "num_gpus"), ("memory", "memory")):
                    left[name] -= used[key]
        return all(left[name] >= amount for name, amount in wanted.items())

    def _check_room(self, queue: Queue, seconds: float, *, starting: bool) -> None:
        """Give up where nothing has happened for so long."""
        if seconds < (STARTING if starting else PATIENCE) or queue.is_done:
            return
        model = next(iter(queue.takeable()), "")
        needs = self._needs(model)
        raise OptionError(
            f"No machine has room for a worker with {model}, which needs {needs['num_cpus']} processors, "
            f"{needs['num_gpus']:g} GPUs and {needs['memory'] / 1e9:.2f} GB: add one, or lower cpus, gpus or memory_gb."
        )

    def _check_database(self) -> None:
        """Several machines cannot share a file."""
        hosts = {node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}
        in_a_file = self._database is None or self._database.startswith("sqlite")
        if len(hosts) > 1 and in_a_file:
            raise OptionError(
                "The machines of this cluster cannot share a database in a file: set ENTVIZ_DATABASE to a PostgreSQL "
                "database that all of them reach."
            )
