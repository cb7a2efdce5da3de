"""``entviz dashboard`` opens the dashboard from any directory, with its own settings, and stops when told to."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entviz.cli import _parser, main
from entviz.cli.dashboard import check_free, invocation, script
from entviz.errors import OptionError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory whose modules have the names of the dashboard's own."""
    (tmp_path / "pages").mkdir()
    for name in ("pages/__init__.py", "pages/explore.py", "streamlit.py", "app.py"):
        (tmp_path / name).write_text("raise RuntimeError('this is somebody else')\n")
    return tmp_path


@contextlib.contextmanager
def running(directory: Path, port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The dashboard, started in a directory, once it answers."""
    process = subprocess.Popen(
        # -P as the installed command has it: the working directory is not on the path.
        [sys.executable, "-P", "-m", "entviz", "dashboard", "--port", str(port), "--no-browser", *arguments],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        end = time.monotonic() + 120
        while True:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < end
            with contextlib.suppress(OSError):
                http.client.HTTPConnection("localhost", port, timeout=1).connect()
                break
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def asked_under(host: str, port: int) -> int:
    """The status with which a page of a site of this name may connect."""
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request(
        "GET",
        "/_stcore/stream",
        headers={
            "Host": f"{host}:{port}",
            "Origin": f"http://{host}:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        },
    )
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")
def test_it_opens_anywhere_with_its_settings_and_ends_at_an_interrupt(elsewhere, port):
    with running(elsewhere, port) as process:
        assert asked_under("localhost", port) == 101
        assert asked_under("elsewhere.example", port) == 403, "the settings of .streamlit/config.toml hold"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert f"http://localhost:{port}" in output
        assert "Traceback" not in output


def test_flags_of_ones_own_win(elsewhere, port):
    with running(elsewhere, port, "--", "--server.allowedHosts=elsewhere.example"):
        assert asked_under("elsewhere.example", port) == 101
        assert asked_under("localhost", port) == 403


def test_a_port_that_is_taken_is_a_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", "--host", "127.0.0.1", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1" in said
    assert f"--port {port + 1}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "port", "sentence"),
    [
        ("localhost", 0, "from 1 to 65535"),
        ("localhost", 65536, "from 1 to 65535"),
        ("no such host", 8501, "There is no host"),
        ("192.0.2.1", 8501, "another computer"),
    ],
)
def test_where_nothing_can_listen(host, port, sentence):
    with pytest.raises(OptionError, match=sentence):
        check_free(host, port)


def flags(*arguments: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    command, changed = invocation(_parser().parse_args(["dashboard", *arguments]), environment)
    return command[command.index(str(script())) + 1 :], changed


def test_the_environment_sets_what_no_option_does(port):
    assert flags(STREAMLIT_SERVER_PORT=str(port))[0] == [f"--server.port={port}"]
    assert flags("--port", str(port), STREAMLIT_SERVER_PORT="1")[0] == [f"--server.port={port}"]
    with pytest.raises(OptionError, match="STREAMLIT_SERVER_PORT must be a number"):
        flags(STREAMLIT_SERVER_PORT="web")


def test_a_host_that_is_named_is_let_in_and_any_other_is_not(port):
    given, environment = flags("--host", "127.0.0.1", "--port", str(port))
    assert given == [f"--server.port={port}", "--server.address=127.0.0.1"]
    assert environment["STREAMLIT_SERVER_ALLOWED_HOSTS"] == "localhost 127.0.0.1 ::1"
    mine = {"STREAMLIT_SERVER_ALLOWED_HOSTS": "box.example"}
    assert flags("--host", "127.0.0.1", "--port", str(port), **mine)[1] == mine
    assert flags("--host", "0.0.0.0", "--port", str(port))[1] == {}


def test_models_can_be_in_the_servers_own_process():
    assert flags("--in-process")[1] == {"ENTVIZ_PROCESS_APART": "0"}
    assert flags()[1] == {}


def test_options_of_streamlit_come_last_and_are_not_said_twice():
    assert flags("--", "--server.port=1", "--theme.base=dark")[0] == ["--server.port=1", "--theme.base=dark"]
    assert flags("--no-browser", "--", "--server.port", "1")[0] == [
        "--server.headless=true",
        "--server.port",
        "1",
    ]
