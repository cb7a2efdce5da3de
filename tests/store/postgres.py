"""A real PostgreSQL server of its own, for tests.

with server() as running:
    store = open_store(running.address)          # postgresql+psycopg://entviz@127.0.0.1:PORT/postgres
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 60.0  # for the server to start


def binaries() -> Path | None:
    """The directory of initdb and postgres; None if they are not installed."""
    asked = shutil.which("pg_config")
    found = []
    if asked:
        done = subprocess.run([asked, "--bindir"], capture_output=True, text=True)
        found.append(Path(done.stdout.strip()))
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next(
        (each for each in found if (each / "initdb").is_file() and (each / "postgres").is_file()), None
    )


def why_not() -> str:
    """Why no server can be started here; empty if one can."""
    if importlib.util.find_spec("psycopg") is None:
        return 'psycopg is not installed: pip install "psycopg[binary]"'
    return "" if binaries() is not None else "PostgreSQL's server is not installed"


def _someone_else() -> dict[str, Any]:
    """PostgreSQL does not run as root, so it then runs as nobody."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Server:
    """A server with an empty database, which can be stopped and started again.

    Attributes:
        address: its address, for SQLAlchemy.
    """

    def __init__(self) -> None:
        found = binaries()
        assert found is not None
        self._programs, self._as = found, _someone_else()
        self._folder = Path(tempfile.mkdtemp(prefix="entviz-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        if self._as:
            os.chown(self._folder, self._as["user"], self._as["group"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self.address = f"postgresql+psycopg://entviz@127.0.0.1:{self._port}/postgres"
        self._data = self._folder / "data"
        how = ("-U", "entviz", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
        command = [self._programs / "initdb", "-D", self._data, *how]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, **self._as)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        options = [word for setting in settings for word in ("-c", setting)]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._data, "-p", self._port, *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", self._port]
        end = time.monotonic() + SECONDS
        while subprocess.run(ready).returncode:
            assert time.monotonic() < end, "PostgreSQL did not start"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop it, and delete its files."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def server() -> Iterator[Server]:
    """A server that has started, and ends with the context."""
    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.remove()
