"""Results in a real PostgreSQL: all that is kept in a file is kept there, by many processes at once."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from entviz.blocks import PruneSet
from entviz.store import Run
from entviz.studies.registry import open_store, stored_studies
from tests.store import postgres
from tests.store.results import an_evaluation, put
from tests.store.test_together import _PROCESS

pytestmark = pytest.mark.skipif(bool(postgres.why_not()), reason=postgres.why_not() or "can be started")


@pytest.fixture(scope="module")
def address():
    with postgres.server() as running:
        yield running.address


@pytest.fixture
def store(address):
    opened = open_store(address, memory_bytes=0)
    opened.remove(*(run.key for run in opened.runs(limit=10_000)))
    yield opened
    opened.close()


def test_a_result_is_kept_listed_found_and_removed(store, address):
    text = "A text – with “quotes”, émigré and 漢字."
    run = Run(
        "evaluation", "m", "f", "a text", {"drop": "attn.5,layer.7"}, {"perplexity": float("inf"), "kl": 0.5}
    )
    store.put("k", run, an_evaluation(), text=text)
    store.link("asked", "k")
    again = open_store(address, memory_bytes=0)
    assert (again.get("k").token_nll == an_evaluation().token_nll).all()
    assert (again.answer("asked").token_kl == an_evaluation().token_kl).all()
    assert again.text("k") == text
    assert again.trouble is None
    (found,) = again.runs(kind=list(stored_studies()), contains="QUOTES", drop=PruneSet.parse("attn.7"))
    assert (found.key, found.summary) == ("k", {"perplexity": None, "kl": 0.5})
    assert again.runs(drop=PruneSet.parse("mlp.5")) == []
    assert again.models() == ["m"]
    again.remove("k")
    assert store.get("k") is store.answer("asked") is store.text("k") is None
    again.close()


def test_the_bound_holds_and_the_least_used_goes_first(address, store):
    small = open_store(address, memory_bytes=0, disk_bytes=20_000)
    for number in range(8):
        put(small, f"k{number}")
    kept = {run.key for run in small.runs()}
    assert "k7" in kept
    assert "k0" not in kept
    assert sum(run.bytes for run in small.runs()) <= 20_000
    small.close()


def test_threads_that_open_it_at_once_make_its_tables_once():
    with postgres.server() as fresh:
        together = threading.Barrier(8)

        def opened(who):
            store = open_store(fresh.address, memory_bytes=0)
            together.wait()
            put(store, str(who))
            found, trouble = store.get(str(who)), store.trouble
            store.close()
            return found is not None and trouble is None

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(opened, range(8)))


def test_processes_share_it(store, address, monkeypatch):
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    running = [
        subprocess.Popen([sys.executable, "-c", _PROCESS, name], stderr=subprocess.PIPE, text=True)
        for name in ("one", "two", "three")
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert errors == ""
    keys = {run.key for run in store.runs()}
    assert keys == {f"{who} {number}" for who in ("shared", "one", "two", "three") for number in range(15)}


def test_what_is_found_while_the_server_is_away_is_written_when_it_is_back(caplog):
    with postgres.server() as running:
        store = open_store(running.address, memory_bytes=0, retry_seconds=0.0)
        put(store, "before")
        running.stop()
        put(store, "meanwhile")
        assert store.held == 1
        assert "the postgresql database on 127.0.0.1 cannot be used" in store.trouble
        assert store.get("meanwhile") is not None
        running.start()
        assert {run.key for run in store.runs()} == {"before", "meanwhile"}
        assert (store.held, store.trouble) == (0, None)
        store.close()
