"""Many people at once: sessions that speak the browser's protocol to a real server on this computer.

    python -m benchmarks.load --sessions 20 --rounds 3

Each session opens the Prune page with a prune set of its own and waits for its numbers, then gives another set, and so
on, all at the same moments. Printed are whether every number is the one that ``entviz.evaluate`` gives alone, the
waits beside a fair share (all evaluations of a round one after another, each as long as it takes alone), and the
server's memory before, at most, and after everyone has left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.client import Visitor, session, value_of
from benchmarks.server import server
from entviz.blocks import PruneSet
from entviz.evaluation.loss import evaluate
from entviz.models import load
from entviz.text.passages import passages
from entviz.text.windows import windows_from_text

WINDOWS, LENGTH = 4, 128
PATIENCE = 180.0  # seconds that a session waits for a number
LEAVING_SECONDS = 150.0  # after this long the server has forgotten sessions and given memory back


@dataclass(frozen=True)
class Answer:
    """What a session got: for which prune set, after how many seconds a first and the final number, and that one."""

    drop: str
    first: float
    final: float
    perplexity: float | None


def main() -> None:
    """Run the load and print the result; exits with 1 where a number is wrong or a session gets none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not (1 <= options.sessions <= 60 and 1 <= options.rounds <= 10):
        parser.error("give 1 to 60 sessions and 1 to 10 rounds")
    rounds = [[_drop(place, turn) for place in range(options.sessions)] for turn in range(options.rounds)]
    with (
        tempfile.TemporaryDirectory() as folder,
        server(f"sqlite:///{folder}/runs.sqlite") as (port, process),
    ):
        alone = asyncio.run(_alone(port))
        before = _memory(process)
        answers, most = asyncio.run(_load(port, process, rounds))
        after = _memory_after_leaving(process, before)
    right = _count_right(answers)
    print(f"{right} of {len(answers)} numbers are those of an evaluation alone.")
    share = options.sessions * alone
    for name, waits in (
        ("first", [answer.first for answer in answers]),
        ("final", [answer.final for answer in answers]),
    ):
        print(
            f"{name} number: median {median(waits):.2f} s, longest {max(waits):.2f} s, "
            f"= {max(waits) / share:.2f} of a fair share, {options.sessions} x {alone:.2f} s"
        )
    print(f"server memory: {before:.0f} MB before, {most:.0f} MB at most, {after:.0f} MB once they had left")
    sys.exit(right != len(answers))


def _drop(place: int, turn: int) -> str:
    """A prune set that no other session and no other round has, as the page writes it."""
    return str(PruneSet.parse(f"attn.{2 + place % 26},mlp.{3 + (place // 26 + turn * 3) % 25}"))


def _count_right(answers: list[Answer]) -> int:
    loaded = load()
    text = windows_from_text(passages()["news"].text, loaded.tokenizer, windows=WINDOWS, window_length=LENGTH)
    right = 0
    for answer in answers:
        truth = evaluate(loaded, text, PruneSet.parse(answer.drop), dtype="auto").perplexity
        # As it is written on the screen, with four digits. The server has run it in batches of its own.
        if answer.perplexity is not None and abs(answer.perplexity / truth - 1) < 2e-3:
            right += 1
        else:
            print(f"{answer.drop}: {answer.perplexity} on the screen, {truth:.4f} alone")
    return right


async def _alone(port: int) -> float:
    """Seconds to a final number for one session on an idle server, once all is loaded; the median of five."""
    async with session(port) as visitor:
        await _measure(visitor, "attn.28,mlp.28", opens=True)
        waits = [await _measure(visitor, f"attn.{layer},mlp.28") for layer in (4, 9, 14, 19, 24)]
    return median(answer.final for answer in waits)


async def _measure(visitor: Visitor, drop: str, *, opens: bool = False) -> Answer:
    """Give a prune set, as a link or as text, and wait for its number."""
    drop = str(PruneSet.parse(drop))
    began = time.perf_counter()
    if opens:
        await visitor.open("prune", {"windows": WINDOWS, "length": LENGTH, "drop": drop})
    else:
        await visitor.submit("Paste a prune set", drop, "Use it")
    await visitor.wait(lambda screen: screen.perplexity(drop, finished=False), PATIENCE)
    first = time.perf_counter() - began
    written = await visitor.wait(lambda screen: screen.perplexity(drop), PATIENCE)
    value = None if written is None else value_of(written)
    return Answer(drop, first, time.perf_counter() - began, value)


async def _load(port: int, process: psutil.Process, rounds: list[list[str]]) -> tuple[list[Answer], float]:
    most = 0.0
    finished = asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not finished.is_set():
            most = max(most, _memory(process))
            await asyncio.sleep(0.25)

    async def visit(place: int) -> list[Answer]:
        async with session(port) as visitor:
            answers = []
            for turn, drops in enumerate(rounds):
                await together.wait()
                answers.append(await _measure(visitor, drops[place], opens=turn == 0))
            await together.wait()  # nobody leaves before all have their numbers
        return answers

    together = asyncio.Barrier(len(rounds[0]))
    watching = asyncio.create_task(watch())
    found = await asyncio.gather(*(visit(place) for place in range(len(rounds[0]))))
    finished.set()
    await watching
    return [answer for each in found for answer in each], most


def _memory(process: psutil.Process) -> float:
    """Megabytes of the server and of the process in which it computes."""
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += child.memory_info().rss
    return float(total) / 1e6


def _memory_after_leaving(process: psutil.Process, before: float) -> float:
    """The server's memory once it is what it was, or after a while."""
    end = time.monotonic() + LEAVING_SECONDS
    while time.monotonic() < end and _memory(process) > before:
        time.sleep(1)
    return _memory(process)


if __name__ == "__main__":
    main()
