"""Damage costs only time: what cannot be read is computed again, what cannot be written stays in memory."""

import sqlite3
import zipfile

import pytest

from entviz.store import Store
from entviz.store.database import FILE
from tests.store.results import an_evaluation, put


def test_a_damaged_result_is_removed_and_computed_again(store, cache):
    put(store, "good")
    put(store, "bad")
    store.link("asked", "bad")
    store.close()
    with sqlite3.connect(cache / FILE) as database:
        (data,) = database.execute("select result from entviz_runs where key = 'bad'").fetchone()
        half = zipfile.BadZipFile, data[: len(data) // 2]
        database.execute("update entviz_runs set result = ? where key = 'bad'", (half[1],))
    later = Store()
    assert later.answer("asked") is None
    assert [run.key for run in later.runs()] == ["good"]
    put(later, "bad")
    assert later.get("bad") is not None
    later.close()


@pytest.mark.parametrize("content", [b"", b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_replaced(cache, content):
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(content)
    store = Store()
    put(store, "k")
    store.close()
    assert Store().get("k") is not None


def test_a_database_of_another_version_is_replaced(cache):
    cache.mkdir(parents=True)
    with sqlite3.connect(cache / FILE) as database:
        database.execute("create table entviz_runs (key text primary key, colour text)")
    store = Store()
    put(store, "k")
    store.close()
    assert Store().get("k") is not None


def test_a_database_that_is_spoilt_while_open_is_replaced(cache):
    store = Store(memory_bytes=0)
    for number in range(20):
        put(store, str(number), an_evaluation(8, 256, number))
    store.close()
    size = (cache / FILE).stat().st_size
    with (cache / FILE).open("r+b") as file:  # the first pages stay good, so opening it works
        file.seek(size // 4)
        file.write(b"\xa5" * (size // 2))
    store = Store(memory_bytes=0)
    found = [store.get(str(number)) for number in range(20)]
    assert None in found
    for number in range(20):
        put(store, str(number), an_evaluation(8, 256, number))
        put(store, str(number), an_evaluation(8, 256, number))
    assert all(store.get(str(number)) is not None for number in range(20))
    store.close()


def test_without_a_place_to_write_results_stay_in_memory(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "file" / "below"))
    store = Store()
    put(store, "k")
    assert store.get("k") is not None
    assert store.runs() == []
    assert "kept in memory" in caplog.text


def test_a_named_database_is_used_and_never_removed(tmp_path, monkeypatch, caplog):
    mine = tmp_path / "mine.sqlite"
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{mine}")
    store = Store()
    put(store, "k")
    store.close()
    later = Store()
    assert later.get("k") is not None
    later.close()
    mine.write_bytes(b"precious notes" * 1000)
    store = Store()
    put(store, "k")
    assert store.get("k") is not None
    store.close()
    assert mine.read_bytes() == b"precious notes" * 1000
    assert "kept in memory" in caplog.text


@pytest.mark.parametrize("url", ["nonsense", "postgresql://user:secret@127.0.0.1:1/x", "oracle+nothing://h"])
def test_a_database_that_cannot_be_opened_leaves_memory_and_no_secret_in_the_log(url, caplog):
    store = Store(url)
    put(store, "k")
    assert store.get("k") is not None
    assert "kept in memory" in caplog.text
    assert "secret" not in caplog.text
