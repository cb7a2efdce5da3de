"""Where a result cannot be kept, the command does its work all the same; what bounds the store is kept to."""

import os
from pathlib import Path

import pytest

from entviz.corpus import passages
from entviz.store import Store
from tests.cli.asked import CUT, SAME
from tests.cli.conftest import TEXT


def refuses_to_open(folder: Path) -> str:
    return f"sqlite:///{folder}/none/runs.sqlite"


def refuses_writes(folder: Path) -> str:
    path = folder / "full.sqlite"
    Store(f"sqlite:///{path}").runs()  # makes the tables
    return f"sqlite:///file:{path}?mode=ro&uri=true"


@pytest.mark.parametrize("broken", [refuses_to_open, refuses_writes])
def test_a_database_that_cannot_be_written_stops_no_command(answer, monkeypatch, tmp_path, caplog, broken):
    address = broken(tmp_path)
    monkeypatch.setenv("ENTVIZ_DATABASE", address)
    command = ("evaluate", "--text", TEXT, *CUT, "--drop", "attn.1")
    found = answer(*command)
    assert "database" in caplog.text
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{tmp_path}/good.sqlite")
    assert answer(*command) == found


def test_a_cache_that_cannot_be_written_stops_no_command(answer, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.delenv("ENTVIZ_DATABASE")
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "file" / "below"))
    assert answer("analyze", "--text", TEXT, *CUT, "--metric", "bucket")["windows"] == 3
    assert "cannot be used" in caplog.text


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
    assert Store().disk_bytes == 1_000_000
    big = passages()["news"].text * 190  # kept with its run, so that two of them are more than may lie there
    for number in range(2):
        text = f"{number} {big}"
        assert len(text.encode()) > 500_000
        assert entviz("evaluate", "--text", text, *CUT)[0] == 0
    assert len(store.runs()) == 1
