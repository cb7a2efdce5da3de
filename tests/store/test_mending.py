"""A damaged page costs only its content, whichever process finds it and whenever that process is killed."""

import contextlib
import random
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from entviz.store import Run, mending
from entviz.store.database import FILE
from entviz.studies.registry import open_store
from tests.store.results import an_evaluation, assert_same, put

KEYS = [f"{number:040x}" for number in range(40)]
PAGE = 4096


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a file with 40 results, and for each page the table or the index that it belongs to."""
    place = tmp_path_factory.mktemp("good") / FILE
    store = open_store(f"sqlite:///{place}")
    for number, key in enumerate(KEYS):
        result = an_evaluation(2, 200, number)
        run = Run("evaluation", "m", "f", f"text {number}", {"drop": "attn.5"}, {"perplexity": number + 0.5})
        store.put(key, run, result, text=f"A text {number} of its own. " * 20)
        store.link(f"ask {number}", key)
    store.close()
    with contextlib.closing(sqlite3.connect(place)) as database:
        database.execute("pragma journal_mode=delete")
        pages = dict.fromkeys(range(2, place.stat().st_size // PAGE + 1), "map or free")
        with contextlib.suppress(sqlite3.OperationalError):  # a SQLite that was built without dbstat
            pages |= dict(database.execute("select pageno, name || ' ' || pagetype from dbstat").fetchall())
    return place.read_bytes(), pages


def spoil(content, page, how):
    """The bytes with one page overwritten."""
    start = (page - 1) * PAGE
    filler = {"zeros": bytes(PAGE), "noise": random.Random(page).randbytes(PAGE), "ones": b"\xff" * PAGE}
    return content[:start] + filler[how] + content[start + PAGE :]


def page_of(content, page):
    return content[(page - 1) * PAGE : page * PAGE]


def used(cache):
    """Uses a store as a dashboard does; returns what it finds, having checked that nothing of it is wrong."""
    store = open_store(memory_bytes=0, announce=lambda _: None)
    found = {key for number, key in enumerate(KEYS) if matches(store.get(key), number)}
    for number, key in enumerate(KEYS):
        asked = store.answer(f"ask {number}")
        assert asked is None or matches(asked, number)
        assert store.text(key) in (None, f"A text {number} of its own. " * 20)
    for run in store.runs(limit=100):
        if run.key in found:
            assert run.description == f"text {KEYS.index(run.key)}"
            assert run.summary == {"perplexity": KEYS.index(run.key) + 0.5}
    put(store, "new", an_evaluation(2, 200, 99), text="A new text.")
    store.link("ask new", "new")
    assert matches(store.answer("ask new"), 99)
    assert store.trouble is None
    notices = store.notices
    store.close()
    return found, notices


def matches(result, number):
    if result is None:
        return False
    assert_same(result, an_evaluation(2, 200, number))
    return True


def rows_in(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return {key for (key,) in database.execute("select key from entviz_runs")}


@pytest.mark.parametrize("how", ["zeros", "noise", "ones"])
def test_a_damaged_page_of_a_result_costs_that_result_alone(good, cache, how):
    content, pages = good
    page = next((page for page, what in pages.items() if what == "entviz_runs overflow"), len(pages) // 2)
    cache.mkdir(parents=True)
    spoilt = spoil(content, page, how)
    (cache / FILE).write_bytes(spoilt)
    found, _ = used(cache)
    assert len(found) == 39
    (lost,) = set(KEYS) - found
    store = open_store()
    put(store, lost, an_evaluation(2, 200, KEYS.index(lost)))
    store.close()
    store = open_store(memory_bytes=0)
    assert matches(store.get(lost), KEYS.index(lost))
    store.close()


@pytest.mark.parametrize("how", ["zeros", "noise"])
def test_one_damaged_leaf_costs_what_is_in_it(good, cache, how):
    content, pages = good
    leaves = [page for page, what in pages.items() if what == "entviz_runs leaf"]
    if not leaves:
        pytest.skip("this SQLite cannot say which pages are leaves")
    cache.mkdir(parents=True)
    for page in random.Random(1).sample(leaves, 3):
        for path in cache.iterdir():
            path.unlink()
        spoilt = spoil(content, page, how)
        (cache / FILE).write_bytes(spoilt)
        found, notices = used(cache)
        assert 40 - len(found) <= 8, "as many as fit on a page"
        assert len(notices) == 1
        assert f"{len(found)} of 40 results were saved" in notices[0]
        (aside,) = mending.set_aside(cache / FILE)
        assert str(aside) in notices[0]
        assert page_of(aside.read_bytes(), page) == page_of(spoilt, page), "what is damaged is left as it was"
        assert rows_in(cache / FILE) == found | {"new"}


def test_a_damaged_index_costs_nothing(good, cache):
    content, pages = good
    indexes = [
        page for page, what in pages.items() if "autoindex_entviz_runs" in what or "ix_entviz_runs" in what
    ]
    if not indexes:
        pytest.skip("this SQLite cannot say which pages are indexes")
    cache.mkdir(parents=True)
    for page in indexes:
        for path in cache.iterdir():
            path.unlink()
        (cache / FILE).write_bytes(spoil(content, page, "zeros"))
        assert used(cache)[0] == set(KEYS)


def test_a_row_that_is_not_what_was_written_does_not_hide_the_others(good, cache):
    """SQLite has no checksums: a flipped bit may leave a sound tree with invalid JSON, or text that is no UTF-8."""
    content, _ = good
    cache.mkdir(parents=True)
    for before, after in (
        (b'{"drop": "attn.5"}', b'{"drop: "attn.5"}}'),
        (b"text 7", b"text \xff"),
    ):
        for path in cache.iterdir():
            path.unlink()
        assert before in content
        (cache / FILE).write_bytes(content.replace(before, after, 1))
        store = open_store(memory_bytes=0, announce=lambda _: None)
        listed = {run.key for run in store.runs(limit=100)}
        assert len(listed) == 39
        assert "39 of 40 results were saved" in store.notices[0]
        store.close()


def test_threads_that_meet_damage_together_mend_it_once(good, cache):
    content, pages = good
    page = next((page for page, what in pages.items() if what == "entviz_runs leaf"), None)
    if page is None:
        pytest.skip("this SQLite cannot say which pages are leaves")
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(spoil(content, page, "noise"))
    stores = [open_store(memory_bytes=0, announce=lambda _: None) for _ in range(2)]

    def use(number):
        store = stores[number % 2]
        found = [key for key in KEYS if store.get(key) is not None]
        put(store, f"thread {number}", text=f"text {number}")
        return len(found)

    with ThreadPoolExecutor(8) as pool:
        least = min(pool.map(use, range(8)))
    assert least >= 32
    assert len(mending.set_aside(cache / FILE)) == 1
    assert rows_in(cache / FILE) >= {f"thread {number}" for number in range(8)}
    for store in stores:
        store.close()


def test_no_more_than_three_damaged_files_are_set_aside_and_none_is_deleted(cache):
    cache.mkdir(parents=True)
    for number in range(5):
        (cache / FILE).write_bytes(b"nonsense %d " % number * 1000)
        store = open_store()
        put(store, "k")
        if number < 3:
            assert store.trouble is None
        else:
            assert "3 older damaged files are beside it: move the older files away" in store.trouble
            assert store.get("k") is not None
            assert (cache / FILE).read_bytes().startswith(b"nonsense %d" % number)
        store.close()
    aside = mending.set_aside(cache / FILE)
    assert [path.read_bytes()[:10] for path in aside] == [b"nonsense %d" % number for number in range(3)]


def test_a_process_that_has_the_file_open_goes_on_in_the_new_one(cache, good):
    """What a dashboard writes after a command has set its file aside is in the new file too."""
    content, _ = good
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(content)
    dashboard = open_store(memory_bytes=0)
    assert dashboard.get(KEYS[0]) is not None
    with mending.alone(cache / FILE):
        mending.mend(cache / FILE)
    put(dashboard, "later")
    assert dashboard.get("later") is not None
    dashboard.close()
    assert rows_in(cache / FILE) == {*KEYS, "later"}


_MEND = """
import sys, time
from pathlib import Path
from entviz.store import mending
from entviz.studies.registry import open_store
path = Path(sys.argv[1])
with mending.alone(path):
    begun = time.monotonic()
    print("begun", flush=True)
    mending.mend(path)
    print(time.monotonic() - begun)
"""


@pytest.mark.exhaustive
def test_a_process_that_is_killed_while_it_mends_loses_nothing(good, cache):
    content, _ = good
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", _MEND, cache / FILE], check=True, capture_output=True, text=True
    )
    longest = float(done.stdout.split()[1])
    unfinished = 0
    for number in range(24):
        for path in cache.iterdir():
            path.unlink()
        (cache / FILE).write_bytes(content)
        process = subprocess.Popen([sys.executable, "-c", _MEND, cache / FILE], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(longest * number / 24)
        process.kill()
        process.communicate()
        unfinished += any(".saving-" in path.name for path in cache.iterdir())
        assert used(cache)[0] == set(KEYS)
        assert not any(".saving-" in path.name for path in cache.iterdir())
    assert unfinished > 2, "it was killed too late to show anything"


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["zeros", "noise", "ones"])
def test_any_one_damaged_page(good, cache, how):
    """No page whatever makes the store fail, show a wrong result, or lose one without keeping the damaged file."""
    content, pages = good
    cache.mkdir(parents=True)
    kept = {}
    long = [page for page, what in pages.items() if what == "entviz_runs overflow"]  # most, and all alike
    for page in sorted({1, *pages} - set(long)) + long[::8]:
        for path in cache.iterdir():
            path.unlink()
        spoilt = spoil(content, page, how)
        (cache / FILE).write_bytes(spoilt)
        found, _ = used(cache)
        kept[page] = len(found)
        if len(found) < 39:
            (aside,) = mending.set_aside(cache / FILE)
            assert page_of(aside.read_bytes(), page) == page_of(spoilt, page)
    roots = {
        page for page, what in pages.items() if "internal" in what
    }  # all that is below them is out of reach
    assert all(count >= 32 for page, count in kept.items() if page > 2 and page not in roots), kept
