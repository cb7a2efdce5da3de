"""A conversion that nobody needs any more ends at any stage, and leaves nothing behind."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from entviz.errors import Cancelled, ModelError
from entviz.models import bounded_building, load
from entviz.models.gguf import converted
from entviz.runtime import Runtime
from entviz.runtime.model_cache import ModelCache
from entviz.studies.registry import open_store
from tests.models.files import write_gguf
from tests.models.gguf_files import made
from tests.models.test_gguf_parts import split

HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    return path


def left(cache: Path) -> list[str]:
    """What lies beside the conversions, but for the files of locks."""
    return [path.name for path in (cache / "models").glob("*") if path.suffix != ".lock"]


def remove(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def stop_at(call: int, seen: list[tuple[int, int]]):
    def progress(done, total, partial=None):
        seen.append((done, total))
        if len(seen) >= call:
            raise Cancelled("Stopped.")

    return progress


@pytest.fixture
def bench(cache, tmp_path):
    """A runtime with a database of its own and no model in memory."""
    bench = Runtime(store=open_store(f"sqlite:///{tmp_path}/runs.sqlite"), models=ModelCache())
    yield bench
    bench.close()


@pytest.fixture
def held_by_another_process(cache, file):
    """The lock of the file's conversion is held by a process, which is let go by closing its input."""
    directory = converted(file)
    remove(directory)
    lock = directory.with_name(f"{directory.name}.lock")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate(timeout=60)


def test_waiting_for_another_process_can_be_stopped_and_says_what_it_waits_for(
    cache, file, held_by_another_process, caplog
):
    seen = []
    with pytest.raises(Cancelled):
        converted(file, progress=stop_at(3, seen))
    assert len(seen) == 3
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("entviz")]
    assert str(file) in message
    assert "is being converted already" in message
    assert left(cache) == []
    held_by_another_process.communicate(timeout=60)
    assert load(str(file)).layers == 2


def test_a_job_that_waits_for_another_process_is_cancelled(
    bench, cache, file, held_by_another_process, caplog
):
    job = bench.prepare(str(file), "a")
    until(lambda: any("is being converted already" in record.getMessage() for record in caplog.records))
    job.cancel("a")
    assert job.wait(30)
    assert job.state == "cancelled"
    assert held_by_another_process.poll() is None, "the lock was held all the time"
    assert left(cache) == []


def test_a_job_cancelled_midway_leaves_nothing_and_the_next_one_converts(bench, cache, tmp_path, monkeypatch):
    """The job is cancelled by its session while tensors are unpacked; the test holds it there until then."""
    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    unpack, at_work = gguf.dequantize, []

    def slowly(*arguments):
        at_work.append(sorted((cache / "models").glob("*.partial")))
        time.sleep(0.2)
        return unpack(*arguments)

    monkeypatch.setattr(gguf, "dequantize", slowly)
    job = bench.prepare(str(path), "a")
    until(lambda: job.total > 0)
    job.cancel("a")
    assert job.wait(30)
    assert job.state == "cancelled"
    assert 0 <= job.done < job.total
    assert at_work[0], "a conversion was under way"
    until(
        lambda: left(cache) == []
    )  # the job counts as cancelled at once, its thread ends at the next report
    assert len(at_work) < job.total
    monkeypatch.setattr(gguf, "dequantize", unpack)
    again = bench.prepare(str(path), "a")
    assert again.wait(60)
    assert again.state == "done"
    assert len(left(cache)) == 1


def test_tensors_are_counted(cache, file):
    seen = []
    load(str(file), progress=lambda done, total, partial=None: seen.append((done, total)))
    counted = [pair for pair in seen if pair[1]]
    assert counted == [(done, 21) for done in range(22)]


def test_every_place_where_a_conversion_reports_can_stop_it(cache, file, monkeypatch):
    monkeypatch.setattr(bounded_building, "_REPORT_EVERY", 1)
    calls = []
    directory = converted(file, progress=lambda *_: calls.append(1))
    assert len(calls) > 100
    for call in (1, len(calls) // 4, len(calls) // 2, len(calls) - 25, len(calls) - 2, len(calls)):
        remove(directory)
        seen = []
        with pytest.raises(Cancelled):
            converted(file, progress=stop_at(call, seen))
        assert left(cache) == []
        assert converted(file) == directory


def test_joining_of_parts_can_be_stopped(cache, tmp_path):
    first = split(tmp_path, made("llama"))[0]
    for call in (1, 5):
        with pytest.raises(Cancelled):
            converted(first, progress=stop_at(call, []))
        assert left(cache) == []
    assert converted(first).is_dir()


def test_hashing_and_comparing_large_files_can_be_stopped(cache, file, monkeypatch):
    monkeypatch.setattr("entviz.reading.CHUNK", 1000)
    seen = []
    with pytest.raises(Cancelled):
        converted(file, progress=stop_at(1, seen))
    assert not (cache / "models").exists()
    converted(file)
    with pytest.raises(Cancelled):
        converted(file, progress=stop_at(1, seen))
    with pytest.raises(ModelError, match="damaged"):
        converted(file, "0" * 64)
