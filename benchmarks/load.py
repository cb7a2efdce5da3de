"""Many people at once: sessions that speak the browser's protocol to a real server on this computer.

    python -m benchmarks.load --sessions 20 --rounds 3

Starts its own server on the loopback interface with an empty store. Each session opens the Prune page with a prune set
of its own, waits for its numbers, and goes on to the next set. Printed are whether every number is the one that
``entviz.evaluate`` gives alone, the longest wait beside a fair share (all evaluations of a round one after another,
each as long as it takes alone), and the server's memory before, at most, and after everyone has left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from urllib.parse import urlencode

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from entviz import PruneSet, evaluate, load, windows_from_text
from entviz.corpus import passages

WINDOWS, LENGTH = 4, 128
LEAVING_SECONDS = 180.0  # after this long the server has forgotten sessions and given memory back


def main() -> None:
    """Run the load and print what came of it; exits with 1 where a number is wrong or a session gets none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--timeout", type=float, default=120.0, help="seconds that a session waits for a number"
    )
    options = parser.parse_args()
    if not (1 <= options.sessions <= 60 and 1 <= options.rounds <= 10):
        parser.error("give 1 to 60 sessions and 1 to 10 rounds")
    drops = [[_drop(s, r) for s in range(options.sessions)] for r in range(options.rounds)]
    expected = _expected({drop for each in drops for drop in each})
    with _server() as (port, process):
        asyncio.run(_visit(port, "attn.3", options.timeout))  # loads the model, and the analysis of the page
        alone = asyncio.run(_alone(port, options.timeout))
        before = _memory(process)
        rounds, most = asyncio.run(_load(port, process, drops, options.timeout))
        after = _memory_after_leaving(process, before)
    right = sum(found == expected[drop] for each in rounds for drop, _, found in each)
    asked = options.sessions * options.rounds
    longest = max(seconds for each in rounds for _, seconds, _ in each)
    usual = median(seconds for each in rounds for _, seconds, _ in each)
    share = options.sessions * alone
    print(f"{right} of {asked} numbers are those of an evaluation alone.")
    print(
        f"One alone: {alone:.2f} s. {options.sessions} at once: median {usual:.2f} s, longest {longest:.2f} s"
    )
    print(f"  = {longest / share:.2f} of a fair share, {options.sessions} x {alone:.2f} s = {share:.2f} s.")
    print(
        f"Memory of the server: {before:.0f} MB before, {most:.0f} MB at most, {after:.0f} MB after they left."
    )
    sys.exit(right != asked)


def _drop(session: int, turn: int) -> str:
    """A prune set that no other session and no other round has."""
    return f"attn.{2 + session % 26},mlp.{3 + (session // 26 + turn * 3) % 25}"


def _expected(drops: set[str]) -> dict[str, str]:
    loaded = load()
    text = windows_from_text(passages()["news"].text, loaded.tokenizer, windows=WINDOWS, window_length=LENGTH)
    return {drop: f"{evaluate(loaded, text, PruneSet.parse(drop)).perplexity:.2f}" for drop in drops}


@contextlib.contextmanager
def _server() -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
        command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
        environment = os.environ | {"ENTVIZ_DATABASE": f"sqlite:///{folder}/runs.sqlite"}
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            for _ in range(240):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).read()
                    break
                time.sleep(0.25)
            else:
                sys.exit("The server does not answer.")
            yield port, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait(30)


@dataclass
class _Screen:
    """What one session sees: the elements by their place, and the fragments that ask to be run again."""

    elements: dict[tuple[int, ...], object] = field(default_factory=dict)
    fragments: dict[str, float] = field(default_factory=dict)

    def take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session" and not message.metadata.run.fragment_ids:
            self.elements.clear()
            self.fragments.clear()
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self.elements[tuple(message.metadata.delta_path)] = message.delta.new_element
        elif kind == "auto_rerun":
            self.fragments[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "stop_auto_rerun":
            for name in message.stop_auto_rerun.fragment_ids:
                self.fragments.pop(name, None)

    def perplexity(self, drop: str) -> str | None:
        """The finished perplexity of a prune set, as it is written on the screen; None while there is none."""
        elements = list(self.elements.values())
        texts = [e.markdown.body for e in elements if e.WhichOneof("type") == "markdown"]  # type: ignore[attr-defined]
        title = "**Without " + drop.replace(".", r"\.") + "**"
        if title not in texts or not any(text.startswith("Measured on") for text in texts):
            return None
        metrics = [e.metric for e in elements if e.WhichOneof("type") == "metric"]  # type: ignore[attr-defined]
        return next((re.sub(r"[^\d.]", "", m.body) for m in metrics if m.label == "Perplexity"), None)


async def _visit(port: int, drop: str, timeout: float) -> tuple[float, str]:
    async with _session(port) as (socket_, screen):
        return await _measure(socket_, screen, drop, timeout)


async def _alone(port: int, timeout: float) -> float:
    """Seconds from opening a prune set to its number for one session on an idle server; the median of three."""
    return median([(await _visit(port, f"attn.{layer},mlp.29", timeout))[0] for layer in (4, 9, 14)])


@contextlib.asynccontextmanager
async def _session(port: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    # The subprotocols are those that Streamlit's own page asks for.
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    async with connect(address, subprotocols=["streamlit"], max_size=None, ping_interval=None) as socket_:  # type: ignore[list-item]
        yield socket_, _Screen()


async def _measure(
    socket_: ClientConnection, screen: _Screen, drop: str, timeout: float
) -> tuple[float, str]:
    """Open a prune set as a link would, and wait for its number: seconds, and the number as written."""
    query = urlencode({"windows": WINDOWS, "length": LENGTH, "drop": drop})
    started = time.perf_counter()
    await socket_.send(_rerun(query))
    due: dict[str, float] = {}
    while (now := time.perf_counter()) - started < timeout:
        for name, interval in screen.fragments.items():
            if now >= due.setdefault(name, now + interval):
                due[name] = now + interval
                await socket_.send(_rerun(query, name))
        with contextlib.suppress(TimeoutError):
            data = await asyncio.wait_for(socket_.recv(), 0.05)
            screen.take(ForwardMsg.FromString(data))  # type: ignore[arg-type]
        if (found := screen.perplexity(drop)) is not None:
            return time.perf_counter() - started, found
    return timeout, ""


def _rerun(query: str, fragment: str = "") -> bytes:
    message = BackMsg()
    state = message.rerun_script
    state.query_string, state.page_name = query, "prune"
    state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
    return message.SerializeToString()


async def _load(
    port: int, process: psutil.Process, drops: list[list[str]], timeout: float
) -> tuple[list[list[tuple[str, float, str]]], float]:
    most = 0.0
    finished = asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not finished.is_set():
            most = max(most, _memory(process))
            await asyncio.sleep(0.25)

    async def visitor(number: int) -> list[tuple[str, float, str]]:
        results = []
        async with _session(port) as (socket_, screen):
            for each in drops:
                await barrier.wait()  # all at once, every time
                results.append((each[number], *await _measure(socket_, screen, each[number], timeout)))
        return results

    barrier = asyncio.Barrier(len(drops[0]))
    watching = asyncio.create_task(watch())
    found = await asyncio.gather(*(visitor(number) for number in range(len(drops[0]))))
    finished.set()
    await watching
    return [list(each) for each in zip(*found, strict=True)], most


def _memory(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


def _memory_after_leaving(process: psutil.Process, before: float) -> float:
    end = time.monotonic() + LEAVING_SECONDS
    while time.monotonic() < end and _memory(process) > before:
        time.sleep(1)
    return _memory(process)


if __name__ == "__main__":
    main()
