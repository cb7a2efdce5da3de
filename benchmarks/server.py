"""A dashboard of its own on the loopback interface, with a database of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from entviz.cache_directory import cache_directory

_PATIENCE = 60.0  # seconds


@contextlib.contextmanager
def server(database: str, *, wait: bool = True) -> Iterator[tuple[int, psutil.Process]]:
    """The port and the process, which is ended at the end; with ``wait`` only once it answers.

    ``database`` is any address that SQLAlchemy can open.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    process = subprocess.Popen(
        [*command, "--server.port", str(port), "--server.address", "127.0.0.1"],
        env=os.environ | {"ENTVIZ_DATABASE": database, "ENTVIZ_CACHE": str(cache_directory())},
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if wait:
            _wait_for(port)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).read()
            return
        time.sleep(0.1)
    raise TimeoutError("the server does not answer")
