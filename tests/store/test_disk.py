"""Full disks, limits and locks lose nothing: results stay in memory, are listed, and are written later.

Real ones: a small tmpfs, a limit on file sizes, a disk that is read-only, another process that holds a lock.
"""

import contextlib
import sqlite3
import subprocess
import sys

import pytest

from entviz.store import mending
from entviz.store.database import FILE
from entviz.studies.registry import open_store
from tests.store.results import an_evaluation, assert_same, put


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A disk of eight megabytes, which results are kept on."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no disk may be mounted here: {made.stderr.strip()}")
    monkeypatch.setenv("ENTVIZ_CACHE", str(place))
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk):
    """Write to a disk until nothing more goes."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def in_file(cache):
    with contextlib.closing(sqlite3.connect(cache / FILE)) as database:
        return {key for (key,) in database.execute("select key from entviz_runs")}


@pytest.mark.parametrize("opened", ["before", "while it is full"])
def test_a_full_disk_loses_nothing_and_room_is_used_without_a_restart(disk, opened):
    first = open_store()
    put(first, "old", text="An old text.")
    first.link("ask old", "old")
    if opened != "before":
        first.close()
    fill(disk)
    said = []
    store = first if opened == "before" else open_store(retry_seconds=0, announce=said.append)
    store._access._retry = 0
    for number in range(30):
        put(store, f"new {number}", an_evaluation(seed=number), text=f"A new text {number}." * 50)
        store.link(f"ask {number}", f"new {number}")
    assert "is full: free some space, or set ENTVIZ_CACHE" in store.trouble
    assert store.unreadable is None, "what is there can still be read"
    store.forget_memory()
    listed = {run.key for run in store.runs(limit=100)}
    assert listed == {"old", *(f"new {number}" for number in range(30))}
    assert_same(store.answer("ask 7"), an_evaluation(seed=7))
    assert store.answer("ask old") is not None
    assert store.text("new 3") == "A new text 3." * 50

    (disk / "filler").unlink()
    assert {run.key for run in store.runs(limit=100)} == listed, "the next question tries again"
    assert store.trouble is None
    assert store.held == 0
    assert in_file(disk) == listed
    put(store, "after")
    store.close()
    later = open_store(memory_bytes=0)
    assert_same(later.answer("ask 29"), an_evaluation(seed=29))
    assert {run.key for run in later.runs(limit=100)} == listed | {"after"}
    later.close()
    if said:
        assert len(said) == 2
        assert "can be used again" in said[1]


def test_it_is_tried_again_only_after_a_pause(disk):
    open_store().runs()
    fill(disk)
    store = open_store(retry_seconds=3600)
    put(store, "k")
    (disk / "filler").unlink()
    put(store, "l")
    assert store.trouble is not None
    assert in_file(disk) == set()
    store.close()
    assert in_file(disk) == {"k", "l"}, "closing tries once more"


def test_what_is_held_is_bounded_and_the_longest_unused_go_first(disk, monkeypatch):
    monkeypatch.setattr("entviz.store.access.HELD_BYTES", 100_000)
    fill(disk)
    store = open_store(memory_bytes=0)
    for number in range(20):
        put(store, str(number), an_evaluation(2, 64, number), text=f"{number}" + "x" * 10_000)
    held = [run.key for run in store.runs()]
    assert held == [str(number) for number in range(19, 19 - len(held), -1)]
    assert 3 < len(held) < 10
    store.remove(*held)
    assert store.runs() == []
    store.close()


def test_a_disk_that_is_read_only_is_read(disk):
    first = open_store()
    put(first, "old")
    first.close()
    before = (disk / FILE).read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    store = open_store(retry_seconds=0)
    put(store, "new")
    assert f"the disk of {disk / FILE} is read-only: make it writable" in store.trouble
    assert [run.key for run in store.runs()] == ["new", "old"]
    assert (disk / FILE).read_bytes() == before
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    store.close()
    assert in_file(disk) == {"new", "old"}


_LIMITED = """
import dataclasses, resource
from entviz.store import Run, Store

@dataclasses.dataclass
class Number:
    number: int

store = Store(lambda kind: Number, announce=lambda _: None, retry_seconds=0)
if OPEN:
    store.runs()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
store.put("new", Run("number", "m"), Number(5))
print(store.trouble)
print(store.get("new").number, *[run.key for run in store.runs()])
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(*[run.key for run in store.runs()], store.trouble)
store.close()
"""


@pytest.mark.parametrize("opened", [True, False])
def test_a_limit_on_the_size_of_files_deletes_nothing(cache, opened):
    first = open_store()
    put(first, "old")
    first.close()
    code = _LIMITED.replace("OPEN", str(opened))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    trouble, while_limited, afterwards = done.stdout.splitlines()
    assert f"{cache / FILE} has reached a limit on the size of files: raise it (ulimit -f)" in trouble
    assert while_limited == "5 new old"
    assert afterwards == "new old None"
    assert in_file(cache) == {"new", "old"}


_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("pragma locking_mode=exclusive")
database.execute("begin exclusive")
database.execute("update entviz_runs set used = used")
print("locked", flush=True)
sys.stdin.readline()
database.execute("commit")
"""


@pytest.fixture
def locked(cache):
    """Another process that holds the file of results for itself, until it is told to let go."""

    def lock():
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", _LOCK, cache / FILE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert started[0].stdout.readline() == "locked\n"

        def release():
            started[0].communicate("\n")

        return release

    started = []
    yield lock
    for process in started:
        process.kill()
        process.wait()


def test_a_locked_file_is_called_locked_and_written_once_it_is_free(locked, cache, monkeypatch):
    monkeypatch.setattr("entviz.store.database._BUSY_SECONDS", 0.2)
    first = open_store()
    put(first, "old")
    first.close()
    release = locked()
    store = open_store(retry_seconds=0)
    put(store, "new")
    assert f"another program has locked {cache / FILE}: wait until it has finished" in store.trouble
    assert "locked" in store.unreadable
    assert [run.key for run in store.runs()] == ["new"]
    release()
    assert [run.key for run in store.runs()] == ["new", "old"]
    assert store.trouble is None
    store.close()
    assert in_file(cache) == {"new", "old"}
    assert mending.set_aside(cache / FILE) == []
