"""``entviz dashboard``: open the dashboard, from any directory.

The dashboard is a Streamlit script; this process is replaced by the Streamlit server. Its settings are in
``.streamlit/config.toml`` beside that script, where Streamlit finds them from any directory.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from entviz.errors import OptionError

PORT: Final = 8501
HOST: Final = "localhost"
_ANY: Final = ("0.0.0.0", "::")  # noqa: S104  compared with, not listened on: a browser cannot open them
_ALLOWED: Final = "STREAMLIT_SERVER_ALLOWED_HOSTS"


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    purpose = "Open the dashboard in the browser. Ctrl-C ends it."
    command = commands.add_parser(
        "dashboard",
        help="open the dashboard",
        description=purpose,
        usage="entviz dashboard [-h] [--port N] [--host H] [--no-browser] [--in-process] [-- OPTION ...]",
    )
    command.set_defaults(command=run)
    command.add_argument("--port", type=int, metavar="N", help=f"port that it listens on (default: {PORT})")
    command.add_argument(
        "--host",
        metavar="H",
        help=f"name or address of this computer to listen on (default: {HOST}, which other computers cannot reach); "
        f"0.0.0.0 listens on all addresses, and {_ALLOWED} then names the allowed hosts",
    )
    command.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    command.add_argument(
        "--in-process",
        action="store_true",
        help="compute in the server's own process, not in one apart; a crash then ends the server",
    )
    command.add_argument(
        "streamlit",
        nargs="*",
        metavar="OPTION",
        help="after --, options of `streamlit run` such as --theme.base=dark; they override all other settings",
    )


def run(options: argparse.Namespace) -> None:
    """Replace this process by Streamlit. It only returns, with an error, if the dashboard cannot be started.

    Raises:
        OptionError: if the port is taken or invalid, if the host is not this computer, or if the installation has no
            dashboard.
    """
    command, environment = invocation(options, os.environ)
    if sys.platform == "win32":  # on Windows, replacing a process returns to the shell at once
        raise SystemExit(subprocess.call(command, env=environment))
    os.execve(command[0], command, environment)  # noqa: S606  no shell: this Python, with a list of arguments


def invocation(
    options: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The command that starts the server, and its environment.

    Raises:
        OptionError: for the reasons given for :func:`run`.
    """
    given = list(options.streamlit)
    port = options.port if options.port is not None else _number(environment.get("STREAMLIT_SERVER_PORT"))
    flags = []
    if not _names(given, "port"):
        if not _names(given, "address"):
            check_free(options.host or environment.get("STREAMLIT_SERVER_ADDRESS") or HOST, port)
        flags.append(f"--server.port={port}")
    changed = dict(environment)
    if options.host is not None:
        flags.append(f"--server.address={options.host}")
        if options.host not in _ANY:
            changed.setdefault(_ALLOWED, " ".join(dict.fromkeys([HOST, "127.0.0.1", "::1", options.host])))
    if options.in_process:
        changed["ENTVIZ_PROCESS_APART"] = "0"
    if options.no_browser:
        flags.append("--server.headless=true")
    # -P, so that a file streamlit.py in the working directory is not used.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(script()), *flags, *given]
    return command, changed


def script() -> Path:
    """The dashboard's script: in an installed package, or in a checkout.

    Raises:
        OptionError: if there is none.
    """
    beside = Path(__file__).parents[2]
    for folder in (beside / "entviz_dashboard", beside):
        if (folder / "app.py").is_file() and (folder / "pages" / "parts").is_dir():
            return folder / "app.py"
    raise OptionError("This installation of entviz has no dashboard. Install it again: pip install entviz.")


def check_free(host: str, port: int) -> None:
    """Check that a server can listen there.

    Raises:
        OptionError: if it cannot; the message says why and what to do.
    """
    if not 1 <= port <= 65535:
        raise OptionError(f"--port must be from 1 to 65535, not {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise OptionError(
            f"There is no host {host!r}. Give --host a name or an address of this computer."
        ) from error
    try:
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # otherwise a port would count as used for a minute after a server ended
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError as error:
        raise OptionError(
            f"You are not allowed to listen on port {port}. Choose a port above 1023 with --port."
        ) from error
    except OSError as error:
        raise OptionError(
            f"Nothing can listen on port {port} of {host} ({error.strerror or error}): another program or "
            f"dashboard uses it, or {host} is another computer. Choose another port: --port {min(port + 1, 65535)}."
        ) from error


def _number(port: str | None) -> int:
    if port is None:
        return PORT
    try:
        return int(port)
    except ValueError:
        raise OptionError(f"STREAMLIT_SERVER_PORT must be a number, not {port!r}.") from None


def _names(given: Sequence[str], setting: str) -> bool:
    return any(flag.split("=")[0] == f"--server.{setting}" for flag in given)
