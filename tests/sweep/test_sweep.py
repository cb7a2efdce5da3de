"""A sweep in one process: its numbers are those of the commands, and nothing is computed twice or lost."""

import json

import pytest

from entviz.cli import main
from entviz.errors import StoreError
from entviz.studies.registry import open_store, part_kinds
from entviz.sweep.cells import DENSE
from entviz.sweep.crew import Alone
from entviz.sweep.record import records
from entviz.sweep.sweep import sweep

ALL = {"criteria": ["cosine", "last"], "repairs": ["none", "bias"], "tasks": ["grammar"], "task_limit": 3}


def different(table, kind="text"):
    """How many different measurements a table's cells are: criteria may choose the same blocks."""
    rows = [row for row in table.rows if row.cell.kind == kind]
    return len({(row.numbers["drop"], row.cell.repair, row.cell.on) for row in rows})


def run(config, store, **options):
    return sweep(config, store, Alone(config, store), **options)


@pytest.fixture
def asked(capsys, tmp_path, directory, monkeypatch):
    """The JSON of a command on the tiny model, with a database of its own."""

    def ask(*arguments):
        monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{tmp_path}/apart.sqlite")
        capsys.readouterr()
        command, *options = map(str, arguments)
        assert main([command, "--model", str(directory), *options, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return ask


def test_every_cell_is_what_the_commands_say(written, configured, store, asked):
    config = configured(**ALL)
    folder, cut = written(**ALL).parent, ("--windows", 3, "--window-length", 40)
    table = run(config, store)
    assert table.counts() == {"done": 2 * 2 * 2 * 3 + 1, "failed": 0, "missing": 0}
    for row in table.rows:
        cell, drop = row.cell, ""
        if cell.criterion != DENSE:
            text = ("--text-file", folder / "chosen.txt", *cut)
            how = ("--criterion", cell.criterion, "--level", cell.level, "--budget", cell.budget)
            drop = ",".join(asked("rank", *text, *how)["drop"])
            assert set(row.numbers["drop"].split(",")) == set(drop.split(","))
        repair = ("--repair", cell.repair, "--repair-text-file", folder / "chosen.txt") if cell.repair else ()
        on = (
            ("--task", cell.on, "--limit", 3)
            if cell.kind == "task"
            else ("--text-file", folder / cell.on, *cut)
        )
        found = asked("evaluate", *on, "--drop", drop, *repair)
        names = ["accuracy", "accuracy_normalized"] if cell.kind == "task" else ["perplexity", "nll", "kl"]
        assert {name: row.numbers[name] for name in names} == pytest.approx(
            {name: found[name] for name in names}, rel=1e-5
        )
        if cell.kind == "text":
            assert row.numbers["dense_perplexity"] == pytest.approx(found["dense"]["perplexity"], rel=1e-5)


def test_what_is_stored_is_not_computed_again_whoever_computed_it(configured, store, computed):
    config = configured(**ALL)
    first = run(config, store)
    done = dict(computed)
    assert done["evaluate_task"] == different(first, "task")
    assert done["evaluate"] + done["evaluate_repaired"] == different(first)
    assert done["analyze"] == 1
    again = open_store()
    second = run(config, again)
    again.close()
    assert computed == done
    assert second.frame().equals(first.frame())
    assert all(row.known for row in second.rows)


def test_a_command_s_evaluation_is_a_cell_s(written, configured, store, capsys, directory, computed):
    config = configured(criteria=["last"], budgets=[1], texts=[{"file": "measured.txt"}])
    text = ("--text-file", written().parent / "measured.txt", "--windows", 3, "--window-length", 40)
    assert main(["evaluate", "--model", str(directory), *map(str, text), "--drop", "attn.3"]) == 0
    before = computed["evaluate"]
    (row,) = run(config, store).rows
    assert row.numbers["drop"] == "attn.3"
    assert computed["evaluate"] == before


def test_an_interrupted_sweep_goes_on_with_what_is_missing(configured, store, computed):
    config = configured(criteria=["cosine", "random:seed=1"])

    def stop(done, total, partial=None, /):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, store, progress=stop)
    (record,) = records(store)
    assert record.cells == {"done": 3, "failed": 0, "missing": 5}
    assert computed["evaluate"] == 3
    table = run(config, open_store())
    assert table.counts()["done"] == 8
    assert computed["evaluate"] == different(table) > 4
    assert sum(row.known for row in table.rows) == 3


def test_a_cell_that_cannot_be_measured_is_named_and_the_others_are(configured, store):
    said = []
    table = run(configured(budgets=[1, 40]), store, told=said.append)
    assert table.counts() == {"done": 4, "failed": 4, "missing": 0}
    failed = [row for row in table.rows if row.state == "failed"]
    assert {row.cell.budget for row in failed} == {"40"}
    assert all("A budget of 40 blocks is not possible" in row.reason for row in failed)
    assert len(said) == 4
    (record,) = records(store)
    assert [row["state"] for row in record.rows] == [row.state for row in table.rows]


def test_a_model_that_does_not_exist_fails_only_its_cells(configured, store, directory):
    table = run(configured(models=["/nowhere/at/all", str(directory)], budgets=[1], criteria=["last"]), store)
    assert [(row.cell.model, row.state) for row in table.rows] == [
        *[("/nowhere/at/all", "failed")] * 2,
        *[(str(directory), "done")] * 2,
    ]
    assert "There is no model" in table.rows[0].reason


def test_what_breaks_is_tried_twice(configured, store, monkeypatch):
    from entviz.evaluation import loss

    real, calls = loss.evaluate, []

    def broken(*arguments, **options):
        calls.append(arguments[2])
        if len(calls) in (1, 3, 4):
            raise ZeroDivisionError
        return real(*arguments, **options)

    monkeypatch.setattr(loss, "evaluate", broken)
    said = []
    table = run(configured(criteria=["last"], budgets=[1]), store, told=said.append)
    assert [row.state for row in table.rows] == ["done", "failed"]
    assert "Something failed inside entviz (ZeroDivisionError)" in table.rows[1].reason
    assert [" tried again. " in sentence for sentence in said] == [True, True, False]


def test_it_stops_where_nothing_can_be_kept(configured, tmp_path):
    config, store = (
        configured(),
        open_store(f"sqlite:///{tmp_path}/no/folder/runs.sqlite", announce=lambda _: None),
    )
    with pytest.raises(StoreError, match="nothing more could be kept"):
        run(config, store)


def test_the_runs_of_its_cells_are_listed_and_its_record_is_not(configured, store):
    table = run(configured(), store)
    kinds = [each.kind for each in store.runs(without=part_kinds())]
    assert kinds.count("evaluation") == different(table)
    assert "sweep" not in kinds
    (record,) = records(store)
    assert (record.name, record.cells["done"]) == ("sweep", 8)
    assert record.rows[0]["perplexity"] > 1
