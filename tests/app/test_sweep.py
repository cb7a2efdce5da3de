"""The Sweep page: what the store has of sweeps, while they fill and afterwards."""

import pytest

from entviz.runtime import runtime
from entviz.sweep.cells import cells_of
from entviz.sweep.config import config_of
from entviz.sweep.record import Record, records
from entviz.sweep.table import DONE, FAILED, NUMBERS, Row, SweepTable
from pages.parts.sweep.table import headings
from tests.app.conftest import settle, words

VALUES = {
    "models": ["smollm2-135m"],
    "texts": ["news"],
    "criteria": ["cosine", "last"],
    "levels": ["attn"],
    "budgets": [2, 4],
}


@pytest.fixture
def table(tmp_path):
    """A sweep of four cells with one done and one failed, and its record."""
    config = config_of(VALUES, tmp_path / "mine.yaml")
    cells, _ = cells_of(config)
    made, record = SweepTable.of(cells), Record(config, runtime().store)
    made.put(Row(cells[0], DONE, {"drop": "attn.7,attn.26", "perplexity": 65.5}))
    made.put(Row(cells[1], FAILED, reason="Its worker died, *twice*."))
    record.write(made)
    yield made, record
    runtime().forget(*(each.key for each in records(runtime().store)))


def metrics(app):
    return {metric.label: metric.value for metric in app.metric}


def test_it_shows_what_is_done_missing_and_failed(table, open_app):
    app = settle(open_app("sweep"))
    assert metrics(app) == {"Done": "1", "Missing": "2", "Failed": "1"}
    (shown,) = (frame.value for frame in app.dataframe)
    assert list(shown["state"]) == ["done", "failed", "missing", "missing"]
    assert shown["perplexity"].iloc[0] == 65.5
    assert "1 cell failed. Its worker died, \\*twice\\*\\." in words(app)
    assert app.selectbox(key="sweep.chosen").options[0].startswith("mine, 4 cells, ")


def test_every_column_has_a_heading_for_people(table):
    made, _ = table
    assert set(headings()) == {*made.frame().columns, *NUMBERS, "reason"}
    assert not [title for title in headings().values() if "_" in title]


def test_what_is_finished_meanwhile_is_shown_at_the_next_look(table, open_app):
    app = settle(open_app("sweep"))
    made, record = table
    made.put(Row(made.rows[2].cell, DONE, {"drop": "attn.28", "perplexity": 70.25}))
    record.write(made)
    settle(app.run())
    assert metrics(app)["Done"] == "2"
    assert app.dataframe[0].value["perplexity"].iloc[2] == 70.25


def test_one_state_can_be_looked_at(table, open_app):
    app = settle(open_app("sweep"))
    app.button_group(key="sweep.state").set_value(FAILED).run()
    assert list(app.dataframe[0].value["state"]) == [FAILED]


def test_without_a_sweep_it_says_how_to_run_one(open_app):
    app = settle(open_app("sweep"))
    assert "There are no sweeps yet" in words(app)
