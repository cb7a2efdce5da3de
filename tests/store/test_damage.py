"""Damage costs only time, and nothing is deleted: what cannot be read is computed again or set aside."""

import sqlite3

import pytest

from entviz.store import mending
from entviz.store.database import FILE
from entviz.studies.registry import open_store
from tests.store.results import an_evaluation, assert_same, put


def set_aside(cache):
    return mending.set_aside(cache / FILE)


def test_a_damaged_result_stays_until_it_is_computed_again(store, cache):
    put(store, "good")
    put(store, "bad")
    store.link("asked", "bad")
    store.close()
    with sqlite3.connect(cache / FILE) as database:
        (data,) = database.execute("select result from entviz_runs where key = 'bad'").fetchone()
        database.execute("update entviz_runs set result = ? where key = 'bad'", (data[: len(data) // 2],))
    later = open_store()
    assert later.answer("asked") is None
    assert {run.key for run in later.runs()} == {"good", "bad"}
    put(later, "bad", an_evaluation(seed=7))
    later.forget_memory()
    assert_same(later.answer("asked"), an_evaluation(seed=7))
    assert len(later.runs()) == 2
    later.close()
    assert not set_aside(cache)


def test_a_result_of_a_later_version_is_not_deleted_by_this_one(store, cache):
    put(store, "k", kind="evaluation")
    store.close()
    with sqlite3.connect(cache / FILE) as database:
        database.execute("update entviz_runs set kind = 'thing of tomorrow'")
    later = open_store()
    assert later.get("k") is None
    assert [run.kind for run in later.runs()] == ["thing of tomorrow"]
    later.close()


def test_a_text_that_is_not_what_was_written_is_not_shown(store, cache):
    put(store, "k", text="The harbour was quiet.")
    store.close()
    with sqlite3.connect(cache / FILE) as database:
        database.execute("update entviz_texts set text = 'The harbour was quiet!'")
    later = open_store()
    assert later.text("k") is None
    assert later.get("k") is not None
    later.close()


@pytest.mark.parametrize("content", [b"", b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_set_aside(cache, content):
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(content)
    store = open_store()
    put(store, "k")
    store.close()
    assert open_store().get("k") is not None
    aside = set_aside(cache)
    assert [path.read_bytes() for path in aside] == ([content] if content else [])
    assert len(store.notices) == len(aside)
    assert all(str(aside[0]) in notice for notice in store.notices)


def test_a_database_of_another_version_is_set_aside_with_what_it_has(cache, store):
    for key in "ab":
        put(store, key, an_evaluation(seed=ord(key)), text=f"text {key}", summary={"perplexity": 2.5})
        store.link(f"ask {key}", key)
    store.close()
    with sqlite3.connect(cache / FILE) as database:  # as an earlier version might have made it
        database.execute("drop index entviz_runs_by_use")
        database.execute("alter table entviz_runs drop column used")
        database.execute("alter table entviz_runs add column colour text not null default 'red'")
    later = open_store(memory_bytes=0)
    assert {run.key for run in later.runs()} == {"a", "b"}
    assert "2 of 2 results were saved" in later.notices[0]
    assert_same(later.answer("ask b"), an_evaluation(seed=ord("b")))
    assert later.text("a") == "text a"
    assert later.runs()[0].summary == {"perplexity": 2.5}
    assert len(set_aside(cache)) == 1
    later.close()


def test_tables_that_were_never_entvizs_are_set_aside(cache):
    cache.mkdir(parents=True)
    with sqlite3.connect(cache / FILE) as database:
        database.execute("create table entviz_runs (key text primary key, colour text)")
        database.execute("insert into entviz_runs values ('mine', 'red')")
    store = open_store()
    put(store, "k")
    store.close()
    assert open_store().get("k") is not None
    with sqlite3.connect(set_aside(cache)[0]) as database:
        assert database.execute("select * from entviz_runs").fetchall() == [("mine", "red")]


def test_a_database_that_is_spoilt_while_open_is_mended_and_the_write_goes_on(cache):
    store = open_store(memory_bytes=0)
    for number in range(20):
        put(store, str(number), an_evaluation(8, 256, number))
    store.close()
    size = (cache / FILE).stat().st_size
    with (cache / FILE).open("r+b") as file:  # the first pages stay good, so opening it works
        file.seek(size // 4)
        file.write(b"\xa5" * (size // 2))
    store = open_store(memory_bytes=0)
    found = [store.get(str(number)) for number in range(20)]
    assert None in found
    for number in range(20):
        put(store, str(number), an_evaluation(8, 256, number))
    assert all(store.get(str(number)) is not None for number in range(20))
    assert store.trouble is None
    store.close()
    (aside,) = set_aside(cache)
    assert b"\xa5" * 4096 in aside.read_bytes()


def test_without_a_place_to_write_results_stay_in_memory(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "file" / "below"))
    store = open_store()
    put(store, "k")
    assert store.get("k") is not None
    assert [run.key for run in store.runs()] == ["k"], "it is listed as long as it is there"
    assert "kept in memory" in caplog.text
    assert "a folder in the path" in store.trouble
    (tmp_path / "file").unlink()
    store.close()
    assert [run.key for run in open_store().runs()] == ["k"], "and written as soon as there is a place"


def test_a_named_database_is_used_and_never_removed(tmp_path, monkeypatch, caplog):
    mine = tmp_path / "mine.sqlite"
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{mine}")
    store = open_store()
    put(store, "k")
    store.close()
    later = open_store()
    assert later.get("k") is not None
    later.close()
    mine.write_bytes(b"precious notes" * 1000)
    store = open_store()
    put(store, "k")
    assert store.get("k") is not None
    store.close()
    assert mine.read_bytes() == b"precious notes" * 1000
    assert "kept in memory" in caplog.text
