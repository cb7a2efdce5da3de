"""Threads and processes share one database."""

import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from entviz.store.database import open_database
from entviz.store.schema import requests
from entviz.studies.registry import open_store
from tests.store.results import an_evaluation, assert_same, put


def test_many_threads_write_and_read(store):
    def work(number):
        key = str(number % 10)
        put(store, key, an_evaluation(seed=number % 10))
        store.link(f"ask {number}", key)
        store.forget_memory()
        assert_same(store.answer(f"ask {number}"), an_evaluation(seed=number % 10))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert {run.key for run in store.runs()} == set("0123456789")


def test_many_open_a_new_database_at_once(tmp_path, caplog):
    for number in range(4):
        together = threading.Barrier(12)

        def opened(who, url=f"sqlite:///{tmp_path / str(number)}.sqlite", together=together):
            store = open_store(url, memory_bytes=0)
            together.wait()
            put(store, str(who))
            found = store.get(str(who))
            store.close()
            return found

        with ThreadPoolExecutor(12) as pool:
            assert None not in pool.map(opened, range(12))
    assert not caplog.records


def test_tables_are_created_all_or_none(tmp_path):
    """A process that ends half way must not leave a table without its index, which would never be made later."""
    url = f"sqlite:///{tmp_path / 'half.sqlite'}"

    def fails(*_, **__):
        raise KeyboardInterrupt

    event.listen(requests, "before_create", fails)
    try:
        with pytest.raises(KeyboardInterrupt):
            open_database(url)
    finally:
        event.remove(requests, "before_create", fails)
    with sqlite3.connect(tmp_path / "half.sqlite") as database:
        assert database.execute("select name from sqlite_master").fetchall() == []
    open_database(url).engine.dispose()
    with sqlite3.connect(tmp_path / "half.sqlite") as database:
        names = {name for (name,) in database.execute("select name from sqlite_master")}
    assert {"entviz_runs", "entviz_runs_by_use", "entviz_requests", "entviz_texts"} <= names


# A small result of its own, so that the processes need not import torch.
_PROCESS = """
import dataclasses, sys
from entviz.store import Run, Store

@dataclasses.dataclass
class Number:
    number: int

store = Store(lambda kind: Number, memory_bytes=0)
for number in range(15):
    for key in (f"shared {number}", f"{sys.argv[1]} {number}"):
        store.put(key, Run("number", "m"), Number(number), text=key)
        assert store.get(key) == Number(number)
    store.link("ask", key)
"""


def test_processes_share_one_database(store):
    running = [
        subprocess.Popen([sys.executable, "-c", _PROCESS, name], stderr=subprocess.PIPE, text=True)
        for name in ("one", "two", "three")
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "database failed" not in errors
    keys = {run.key for run in store.runs()}
    assert keys == {f"{who} {number}" for who in ("shared", "one", "two", "three") for number in range(15)}
    assert all(store.text(key) == key for key in keys)


@pytest.mark.parametrize("meanwhile", ["keeps the same text", "removes its only run"])
def test_a_run_is_kept_whatever_another_does_with_its_text_at_that_moment(store, meanwhile):
    other, busy = open_store(memory_bytes=0), []
    if meanwhile != "keeps the same text":
        put(other, "old", text="A text.")

    def act(connection, cursor, statement, *_):
        if statement.startswith("INSERT") and not busy:
            busy.append(statement)
            if meanwhile == "keeps the same text":
                put(other, "b", text="A text.")
            else:
                other.remove("old")

    store.runs()  # opens the database
    event.listen(store._access._opened.engine, "before_cursor_execute", act)
    put(store, "a", text="A text.")
    assert busy
    other.close()
    again = open_store()
    assert again.get("a") is not None
    assert again.text("a") == "A text."
    again.close()


def test_what_another_was_first_to_write_is_tried_once_more(store):
    failed = []

    def fail_once(connection, cursor, statement, *_):
        if statement.startswith("INSERT") and not failed:
            failed.append(statement)
            raise IntegrityError(statement, {}, Exception("UNIQUE constraint failed"))

    store.runs()
    event.listen(store._access._opened.engine, "before_cursor_execute", fail_once)
    put(store, "a", text="A text.")
    assert failed
    assert [run.key for run in store.runs()] == ["a"]


def test_a_killed_writer_leaves_a_good_database(store):
    endless = _PROCESS.replace("range(15)", "range(10**6)")
    process = subprocess.Popen([sys.executable, "-c", endless, "killed"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(store.runs()) < 5:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    process.kill()
    process.wait()
    for run in store.runs():
        assert store.text(run.key) == run.key
    put(store, "after")
    assert store.get("after") is not None
