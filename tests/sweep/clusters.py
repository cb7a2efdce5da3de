"""Workers of Ray on this machine: found among the processes, and killed."""

import os
import signal
import time
from typing import Any

import psutil

WORKER = "ray::ModelActor"


def workers_below(raylet: int) -> list[psutil.Process]:
    """The workers of a sweep that a raylet has started."""
    try:
        below = psutil.Process(raylet).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process for process in below if _title(process).startswith(WORKER)]


def workers_here() -> list[psutil.Process]:
    """The workers of sweeps that this process's own Ray has started."""
    return [each for each in psutil.Process().children(recursive=True) if _title(each).startswith(WORKER)]


def is_at_work(process: psutil.Process) -> bool:
    """Whether a worker is doing a task now, and not starting or waiting."""
    return _title(process).startswith(f"{WORKER}.run")


def raylet_of(node: Any) -> int:
    """The process id of a node of ``ray.cluster_utils``."""
    return int(node.all_processes["raylet"][0].process.pid)


def kill_machine(raylet: int) -> None:
    """End a raylet and all that it started, at once and without a word, as when a machine loses power."""
    for each in [raylet, *(below.pid for below in psutil.Process(raylet).children(recursive=True))]:
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for(condition: Any, seconds: float = 90.0) -> None:
    """Wait until something is so."""
    assert comes_to_be(condition, seconds), "it did not come to that"


def comes_to_be(condition: Any, seconds: float) -> bool:
    """Whether something is so within some time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return ""
