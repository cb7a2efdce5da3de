"""If a result cannot be kept, the command still does its work; the limits of the store hold."""

import contextlib
import importlib.util
import json
import os
import sqlite3
from pathlib import Path

import pytest

from entviz.studies.registry import open_store
from entviz.text.passages import passages
from tests.cli.asked import CUT, SAME
from tests.cli.conftest import TEXT


def refuses_to_open(folder: Path) -> str:
    return f"sqlite:///{folder}/none/runs.sqlite"


def refuses_writes(folder: Path) -> str:
    path = folder / "full.sqlite"
    open_store(f"sqlite:///{path}").runs()  # makes the tables
    return f"sqlite:///file:{path}?mode=ro&uri=true"


NOT_KEPT = "entviz: What this command has found was not kept.\n"


@pytest.mark.parametrize("broken", [refuses_to_open, refuses_writes])
def test_a_database_that_cannot_be_written_stops_no_command(entviz, answer, monkeypatch, tmp_path, broken):
    address = broken(tmp_path)
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    command = ("evaluate", "--text", TEXT, *CUT, "--drop", "attn.1")
    status, output, errors = entviz(*command, "--json")
    assert status == 0
    assert "entviz: Results are kept in memory only, until the program ends, because " in errors
    assert errors.endswith(NOT_KEPT)
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{tmp_path}/good.sqlite")
    assert answer(*command) == json.loads(output)


def test_a_cache_that_cannot_be_written_stops_no_command(entviz, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.delenv("ENTVIZ_DATABASE")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "file" / "below"))
    status, output, errors = entviz("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--json")
    assert (status, json.loads(output)["windows"]) == (0, 3)
    assert "is a file: move that file away" in errors
    assert errors.endswith(NOT_KEPT)
    assert entviz("analyze", "--text", TEXT, *CUT, "--metric", "bucket", "--no-keep")[2] == ""


def test_runs_that_cannot_be_read_are_not_said_to_be_none(wrong, monkeypatch, tmp_path):
    monkeypatch.setenv("ENTVIZ_DATABASE", refuses_to_open(tmp_path))
    assert "What was kept cannot be read because the folder of" in wrong("runs")
    monkeypatch.setenv("ENTVIZ_DATABASE", "postgresql+psycopg2://me:hunter2@127.0.0.1:1/x")
    if importlib.util.find_spec("psycopg2") is None:
        assert 'is not installed: pip install "psycopg2-binary"' in wrong("runs")
    monkeypatch.setenv("ENTVIZ_DATABASE", "mysql+pymysql://me:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in wrong("runs")


def test_a_locked_database_is_called_locked(entviz, wrong, monkeypatch, tmp_path):
    monkeypatch.delenv("ENTVIZ_DATABASE")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path))
    monkeypatch.setattr("entviz.store.database._BUSY_SECONDS", 0.2)
    assert entviz("evaluate", "--text", TEXT, *CUT)[0] == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.sqlite", isolation_level=None)) as database:
        database.execute("pragma locking_mode=exclusive")
        database.execute("begin exclusive")
        database.execute("update entviz_runs set used = used")
        for arguments in ((), ("--json",), ("--csv",)):
            assert f"another program has locked {tmp_path / 'runs.sqlite'}" in wrong("runs", *arguments)
        database.execute("rollback")
    status, output, errors = entviz("runs", "--json")
    assert (status, len(json.loads(output)["runs"]), errors) == (0, 1, "")


def test_a_command_says_what_it_had_to_mend(entviz, monkeypatch, tmp_path):
    monkeypatch.delenv("ENTVIZ_DATABASE")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path))
    (tmp_path / "runs.sqlite").write_bytes(b"no database " * 1000)
    status, _, errors = entviz("runs")
    assert status == 0
    assert "entviz: " in errors
    assert "is kept as" in errors
    (aside,) = tmp_path.glob("runs.sqlite.damaged-*")
    assert aside.read_bytes() == b"no database " * 1000


def test_a_name_that_is_no_unicode_stops_no_command(entviz, store, tmp_path, caplog):
    odd = tmp_path / os.fsdecode(b"ids\xff.json")
    odd.write_text("[[5, 6, 7]]")
    assert entviz("evaluate", "--token-ids", odd)[0] == 0
    assert "not kept" in caplog.text
    assert store.runs() == []


def test_a_bound_that_is_none_is_said_before_anything_is_computed(wrong, monkeypatch):
    monkeypatch.setenv("ENTVIZ_STORE_MB", "lots")
    for command in (SAME["analyze"][1], SAME["compare"][1]):
        assert "ENTVIZ_STORE_MB is 'lots'" in wrong(*command)


def test_a_command_keeps_to_the_bound_that_the_dashboard_has(entviz, store, monkeypatch):
    monkeypatch.setenv("ENTVIZ_STORE_MB", "1")
    assert open_store().disk_bytes == 1_000_000
    big = passages()["news"].text * 190  # kept with its run, so that two of them are more than may lie there
    for number in range(2):
        text = f"{number} {big}"
        assert len(text.encode()) > 500_000
        assert entviz("evaluate", "--text", text, *CUT)[0] == 0
    assert len(store.runs()) == 1
