"""The store: what goes in comes out, damage costs only time, bounds hold, and processes share one database."""

import dataclasses
import io
import json
import pickle
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from entviz.analysis import Analysis
from entviz.blocks import Block, PruneSet
from entviz.comparison.interactions import Interactions
from entviz.comparison.pair import Angles, Contrast
from entviz.comparison.result import Cell, Comparison
from entviz.comparison.trust import Trust
from entviz.errors import OptionError
from entviz.evaluation.generation import Generation
from entviz.evaluation.loss import Evaluation
from entviz.evaluation.tasks import TaskResult
from entviz.pruning.ranking import Ranking
from entviz.store import Run, Store, codec, request_key, result_key
from entviz.store.codec import UnreadableError, pack, unpack
from entviz.store.database import FILE, open_database, requests
from entviz.store.memory import Memory


def an_evaluation(windows=3, length=16, seed=0):
    random = np.random.default_rng(seed)
    shape = (windows, length - 1)
    return Evaluation(
        drop=PruneSet.parse("attn.5,layer.7"),
        token_ids=random.integers(0, 50_000, (windows, length)),
        token_nll=random.exponential(3.0, shape),
        dense_token_nll=random.exponential(2.0, shape),
        token_kl=random.exponential(0.1, shape),
        agrees=random.random(shape) < 0.8,
        windows_total=windows,
        parameters_dense=134_515_008,
        parameters_pruned=130_000_000,
        bytes_dense=538_060_032,
        bytes_pruned=520_000_000,
        dtype="float32",
    )


def an_analysis():
    sites = pd.DataFrame(
        [
            ("embed", "embed", 0.0, "knn", -1.5, (-1.0, -2.0)),
            ("attn.0", "attn", 0.5, "knn", 2.25, (2.0, 2.5)),
            ("layer.0", "layer", 1.0, "knn", float("nan"), (3.0, float("nan"))),
        ],
        columns=["site", "kind", "depth", "metric", "value", "per_window"],
    )
    blocks = pd.DataFrame(
        [
            ("attn.0", "attn", 0, "cosine", 0.25, (0.25, 0.25)),
            ("mlp.0", "mlp", 0, "cosine", 0.5, (0.25, 0.75)),
        ],
        columns=["block", "kind", "index", "metric", "value", "per_window"],
    )
    return Analysis("smollm2-135m", 30, 2, 128, sites, blocks, 1.25)


def a_generation():
    return Generation([1, 2, 3], 2, "Once upon ☃ 'quoted'\n", PruneSet(), 0.5, 0.25)


def a_ranking():
    scores = pd.DataFrame(
        {
            "block": ["attn.0", "attn.1"],
            "kind": ["attn", "attn"],
            "index": [0, 1],
            "score": [0.5, -0.25],
            "protected": [True, False],
        }
    )
    order = (Block("attn", 1), Block("attn", 0))
    return Ranking("entrodrop", order, PruneSet(order[:1]), scores)


def a_comparison():
    rows = pd.DataFrame(
        {
            "name": ["cosine", "random"],
            "budget": ["4", "4"],
            "drop": ["attn.5", "attn.6"],
            "nll": [3.5, float("nan")],
            "window_nll": [(3.0, 4.0), (2.0, 5.0)],
        }
    )
    return Comparison(
        *("smollm2-135m", 30, 2, 2, 64, False, ("4", "20%"), "", 0, "float32"),
        dense=rows.head(1),
        rows=rows,
        notes=("One was left out.",),
        rows_total=4,
        seconds=1.5,
    )


def a_cell():
    two, none = np.array([2.5, 3.5]), np.empty(0)
    return Cell(PruneSet.parse("attn.5"), two, two / 9, two / 4, 10**9, none, none, two > 3, two > 2)


def a_score():
    likelihoods = np.array([[-1.5, -2.5], [-3.5, np.nan]])
    drop, items = PruneSet.parse("mlp.2"), np.arange(2)
    return TaskResult("words", drop, "float32", items, items, likelihoods, np.array([[1, 2], [3, 0]]), 4)


def a_contrast():
    blocks = pd.DataFrame({"block": ["attn.1", "mlp.2"], "cost_a": [0.5, float("nan")]})
    return Contrast(PruneSet.parse("attn.1"), PruneSet.parse("mlp.2"), 3.25, 3.5, blocks)


def a_trust():
    damage = pd.DataFrame({"block": ["attn.0"], "inner": [False], "loss_per_window": [(0.5, -0.5)]})
    scores = pd.DataFrame({"criterion": ["knn"], "block": ["attn.0"], "score": [0.25]})
    return Trust("smollm2-135m", "attn", 2, 64, damage, scores, scores, scores)


def some_interactions():
    alone, together = np.ones((2, 3)), np.full((2, 2, 3), np.nan)
    return Interactions("m", "attn", 3, 64, ("attn.0", "attn.1"), alone, alone / 3, together, together)


EXAMPLES = {
    "analysis": an_analysis,
    "angles": lambda: Angles(pd.DataFrame({"start": [0, 1], "size": [1, 1], "distance": [0.5, 0.25]})),
    "cell": a_cell,
    "choice": a_ranking,
    "comparison": a_comparison,
    "contrast": a_contrast,
    "evaluation": an_evaluation,
    "generation": a_generation,
    "interactions": some_interactions,
    "ranking": a_ranking,
    "score": a_score,
    "trust": a_trust,
}


def assert_same(one, other):
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert type(a) is type(b), field.name
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        elif isinstance(a, pd.DataFrame):
            pd.testing.assert_frame_equal(a, b)
        else:
            assert a == b, field.name


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENTVIZ_DATABASE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def store():
    store = Store()
    yield store
    store.close()


def put(store, key, result=None, kind="evaluation", **about):
    store.put(key, Run(kind, "smollm2-135m", **about), result if result is not None else an_evaluation())


# Bytes and back


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_kind_of_result_comes_back_as_it_went(kind):
    result = EXAMPLES[kind]()
    data, size = pack(kind, result)
    again, same_size = unpack(kind, data)
    assert_same(result, again)
    assert size == same_size > 0


def test_every_registered_kind_has_an_example_here():
    assert set(EXAMPLES) == set(codec.RESULTS)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 2**31), max_size=20),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    st.floats(allow_nan=False),
)
def test_any_texts_and_numbers_come_back(token_ids, text, seconds):
    result = Generation(token_ids, len(token_ids), text, PruneSet.parse("mlp.3"), seconds, -seconds)
    assert_same(result, unpack("generation", pack("generation", result)[0])[0])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_are_never_taken_for_another_result(data):
    result = an_evaluation()
    packed = bytearray(pack("evaluation", result)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    packed = packed[: data.draw(st.integers(0, len(packed)))]
    try:
        again, _ = unpack("evaluation", bytes(packed))
    except UnreadableError:
        return
    assert_same(result, again)  # the damage hit nothing that matters, such as a time stamp


def test_pickles_in_an_archive_are_not_read(tmp_path):
    ran = tmp_path / "ran"

    class Malicious:
        def __reduce__(self):
            return (ran.touch, ())

    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([Malicious()], dtype=object), allow_pickle=True)
    ran.unlink(missing_ok=True)
    with pytest.raises(UnreadableError):
        unpack("evaluation", buffer.getvalue())
    with pytest.raises(UnreadableError):
        unpack("evaluation", pickle.dumps(an_evaluation()))
    assert not ran.exists()


def test_an_archive_that_claims_to_be_huge_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(codec, "LARGEST", 100)
    with pytest.raises(UnreadableError, match="too large"):
        unpack("evaluation", pack("evaluation", an_evaluation())[0])


def test_a_result_of_another_form_is_unreadable():
    """As after an update that gave the dataclass a further field."""
    data, _ = pack("generation", a_generation())
    with np.load(io.BytesIO(data)) as archive:
        header = json.loads(archive["header"].tobytes())
    del header["fields"]["text"]
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(json.dumps(header).encode(), np.uint8))
    with pytest.raises(UnreadableError, match="text"):
        unpack("generation", buffer.getvalue())
    with pytest.raises(UnreadableError, match="generation"):
        unpack("evaluation", data)


# The store


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_result_outlives_the_process(kind, store):
    result = EXAMPLES[kind]()
    put(store, "k", result, kind)
    assert store.get("k") is result, "in memory it is the very object"
    store.close()
    later = Store()
    assert_same(result, later.get("k"))
    assert later.get("k") is later.get("k"), "it is read from the database once"
    later.close()


def test_what_was_never_stored_is_none(store):
    assert store.get("nothing") is None
    assert store.answer("nothing") is None
    assert store.text("nothing") is None
    assert store.runs() == []


def test_a_request_leads_to_its_result_in_a_later_process(store):
    put(store, "k")
    store.link("asked", "k")
    store.link("asked otherwise", "k")
    store.close()
    later = Store()
    assert_same(later.answer("asked"), an_evaluation())
    assert later.answer("asked") is later.answer("asked otherwise")
    put(later, "k2", an_evaluation(seed=2))
    later.link("asked", "k2")
    assert_same(later.answer("asked"), an_evaluation(seed=2))
    later.close()


def test_runs_are_listed_newest_first_and_filtered(store):
    put(store, "a", description="News, 4 x 128 tokens", options={"drop": "attn.5"}, summary={"nll": 3.5})
    put(store, "b", an_analysis(), "analysis", description="Law, 4 x 128 tokens")
    store.put("c", Run("evaluation", "gpt2", description="100% of_it"), an_evaluation())
    assert [run.key for run in store.runs()] == ["c", "b", "a"]
    assert [run.key for run in store.runs(kind="evaluation")] == ["c", "a"]
    assert [run.key for run in store.runs(model="gpt2")] == ["c"]
    assert [run.key for run in store.runs(contains="NEWS")] == ["a"]
    assert [run.key for run in store.runs(contains="%")] == ["c"], "a typed % is a percent sign"
    assert [run.key for run in store.runs(limit=1)] == ["c"]
    run = store.runs()[-1]
    assert (run.options, run.summary) == ({"drop": "attn.5"}, {"nll": 3.5})
    assert run.bytes > 0
    assert abs(run.created - time.time()) < 60
    assert "entviz" in run.program


def test_runs_are_filtered_by_prune_set_and_by_their_whole_text(store):
    for key, drop in (("a", "attn.5"), ("b", "attn.55"), ("c", "mlp.3,layer.5"), ("d", "")):
        store.put(
            key,
            Run("evaluation", "m", options={"drop": drop}),
            an_evaluation(),
            text=f"Long {key} TAIL {key}",
        )
    store.put("e", Run("analysis", "n", options={"metrics": ["knn"]}), an_analysis())

    def found(drop):
        return {run.key for run in store.runs(drop=PruneSet.parse(drop))}

    assert found("attn.5") == {"a", "c"}, "a dropped layer has its attention dropped too"
    assert found("layer.5") == {"c"}
    assert found("mlp.3,attn.5") == {"c"}
    assert found("") == {"d"}, "only what was run without dropping anything"
    assert [run.key for run in store.runs(contains="tail b")] == ["b"]
    assert {run.key for run in store.runs(kind=("analysis", "ranking"))} == {"e"}
    assert store.models() == ["m", "n"]


def test_numbers_that_json_lacks_are_listed_as_none(store):
    put(store, "a", summary={"perplexity": float("inf"), "list": [1.0, float("nan")]})
    assert store.runs()[0].summary == {"perplexity": None, "list": [1.0, None]}


def test_texts_are_kept_once_and_go_with_their_last_run(store, cache):
    for key in "abc":
        store.put(
            key, Run("evaluation", "m"), an_evaluation(), text="the same text" if key < "c" else "another"
        )
    assert store.text("a") == store.text("b") == "the same text"
    with sqlite3.connect(cache / FILE) as database:
        assert database.execute("select count(*) from entviz_texts").fetchone() == (2,)
    store.remove("a")
    assert (store.text("a"), store.text("b")) == (None, "the same text")
    store.remove("b")
    with sqlite3.connect(cache / FILE) as database:
        assert database.execute("select text from entviz_texts").fetchall() == [("another",)]


def test_removed_means_removed(store):
    put(store, "k")
    store.link("asked", "k")
    store.remove("k")
    assert store.get("k") is None
    assert store.answer("asked") is None


def test_storing_twice_keeps_the_first(store):
    put(store, "k")
    put(store, "k")
    assert len(store.runs()) == 1


# Bounds


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
    store = Store(memory_bytes=0, disk_bytes=int(one * 4.5))
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
    store = Store(memory_bytes=0, disk_bytes=1_000_000)
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
        Store()
    assert Store(disk_bytes=7).disk_bytes == 7


def test_a_result_larger_than_everything_is_not_written():
    store = Store(disk_bytes=10)
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


# Damage


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


# Together


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
            store = Store(url, memory_bytes=0)
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
    open_database(url).dispose()
    with sqlite3.connect(tmp_path / "half.sqlite") as database:
        names = {name for (name,) in database.execute("select name from sqlite_master")}
    assert {"entviz_runs", "entviz_runs_by_use", "entviz_requests", "entviz_texts"} <= names


# A small result of its own, so that the processes need not import torch.
_PROCESS = """
import dataclasses, sys
from entviz.store import Run, Store, codec

@dataclasses.dataclass
class Number:
    number: int

codec.RESULTS["number"] = (__name__, "Number")
store = Store(memory_bytes=0)
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


# Keys


def test_keys_depend_on_everything_that_a_result_does():
    same = {"model": "f", "tokens": "t", "options": {"drop": "attn.1", "dtype": "float32"}}
    first = result_key("evaluation", **same)
    assert result_key("evaluation", **same) == first
    assert result_key("evaluation", **same | {"options": {"dtype": "float32", "drop": "attn.1"}}) == first
    others = [
        result_key("analysis", **same),
        result_key("evaluation", **same | {"model": "g"}),
        result_key("evaluation", **same | {"tokens": "u"}),
        result_key("evaluation", **same | {"options": {"drop": "attn.2", "dtype": "float32"}}),
        request_key("evaluation", model="f", text="t", options=same["options"]),
    ]
    assert len({first, *others}) == 6


def test_keys_depend_on_the_program(monkeypatch):
    first = result_key("evaluation", model="f", tokens="t", options={})
    monkeypatch.setattr("entviz.store.keys.program", lambda: "entviz 9")
    assert result_key("evaluation", model="f", tokens="t", options={}) != first
