"""How much memory and disk the store may use, and what it removes first."""

import dataclasses
import sqlite3

import pytest

from entviz.errors import OptionError
from entviz.store import Run
from entviz.store.codec import pack
from entviz.store.database import FILE
from entviz.store.memory import Memory
from entviz.studies.registry import open_store
from tests.store.results import an_evaluation, put


def test_memory_forgets_what_was_used_longest_ago():
    memory = Memory(100)
    for key in "abc":
        memory.put(key, key.upper(), 40)
    assert [memory.get(key) for key in "abc"] == [None, "B", "C"]
    memory.get("b")
    memory.put("d", "D", 40)
    assert [memory.get(key) for key in "bcd"] == ["B", None, "D"]
    memory.put("huge", "x", 101)
    assert memory.get("huge") is None
    memory.put("b", "B2", 60)
    assert (memory.get("b"), memory.bytes) == ("B2", 100)
    memory.forget("b")
    memory.clear()
    assert memory.bytes == 0


def test_the_database_is_bounded_and_the_least_recently_used_go_first(cache):
    one = len(pack("evaluation", an_evaluation(8, 256))[0])
    store = open_store(memory_bytes=0, disk_bytes=int(one * 4.5))
    for number in range(4):
        put(store, str(number), an_evaluation(8, 256, number))
        store.link(f"ask {number}", str(number))
    with sqlite3.connect(cache / FILE) as database:  # as if all of it had happened an hour ago
        database.execute("update entviz_runs set used = used - 3600")
    assert store.get("0") is not None
    put(store, "4", an_evaluation(8, 256, 4))
    assert {run.key for run in store.runs()} == {"0", "2", "3", "4"}
    assert store.answer("ask 1") is None
    for number in range(5, 40):
        put(store, str(number), an_evaluation(8, 256, number))
    assert sum(run.bytes for run in store.runs()) <= store.disk_bytes
    store.close()
    assert (cache / FILE).stat().st_size < 2 * store.disk_bytes + 100_000, "the file itself shrinks"


def test_room_for_a_long_text_is_made_by_what_is_oldest_and_no_more(cache):
    store = open_store(memory_bytes=0, disk_bytes=1_000_000)
    for number in range(6):
        store.put(str(number), Run("evaluation", "m"), an_evaluation(), text=f"{number}" + "x" * 200_000)
    assert {run.key for run in store.runs()} == {"2", "3", "4", "5"}
    store.put("shares", Run("evaluation", "m"), an_evaluation(), text="5" + "x" * 200_000)
    assert {run.key for run in store.runs()} == {"2", "3", "4", "5", "shares"}
    store.close()


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", ""])
def test_a_bound_in_the_environment_that_is_none_is_said_at_once(monkeypatch, value):
    monkeypatch.setenv("ENTVIZ_STORE_MB", value)
    with pytest.raises(OptionError, match="ENTVIZ_STORE_MB"):
        open_store()
    assert open_store(disk_bytes=7).disk_bytes == 7


def test_a_result_larger_than_everything_is_not_written():
    store = open_store(disk_bytes=10)
    put(store, "k")
    assert store.runs() == []
    assert store.get("k") is not None, "but it is still in memory"
    store.close()


def test_what_cannot_be_stored_is_said_in_the_log_and_stops_nothing(store, caplog):
    @dataclasses.dataclass
    class Odd:
        what: object

    store.put("k", Run("odd", "m"), Odd(object()))
    assert store.get("k") is None
    assert "cannot be stored" in caplog.text
