"""The cells of a sweep, counted, and the studies that they are."""

import pytest

from entviz.blocks import PruneSet
from entviz.errors import EntvizError
from entviz.studies import Evaluate, EvaluateRepaired, ScoreTask
from entviz.sweep.cells import DENSE, Asking, cells_of


def test_every_combination_is_a_cell_and_each_random_set_one_of_its_own(configured):
    config = configured(
        criteria=["cosine", "random", "entrodrop:bucket:unprotected"],
        levels=["attn", "mlp"],
        budgets=[1, 2],
        repairs=["none", "bias"],
        tasks=["grammar"],
        seeds=2,
    )
    cells, notes = cells_of(config)
    assert notes == []
    chosen = [cell for cell in cells if cell.criterion != DENSE]
    assert len(chosen) == (1 + 2 + 1) * 2 * 2 * 2 * 3
    assert len(set(cells)) == len(cells) == len(chosen) + 1  # and the dense model on the task
    assert {cell.criterion for cell in chosen} == {"cosine", "random", "random:seed=1", "entrodrop:bucket"}
    assert {cell.protect for cell in chosen if cell.criterion == "entrodrop:bucket"} == {(0, 0)}
    assert {cell.protect for cell in chosen if cell.criterion == "cosine"} == {None}


def test_what_a_criterion_cannot_do_is_left_out_and_said(configured):
    cells, notes = cells_of(configured(criteria=["cosine", "angular-distance"], levels=["attn"]))
    assert {cell.criterion for cell in cells} == {"cosine"}
    assert "left out at level attn" in notes[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"criteria": ["cosin"]},
        {"criteria": ["cosine:repaired=bias"]},
        {"budgets": ["many"]},
        {"budgets": ["0%"]},
        {"levels": ["heads"]},
        {"repairs": ["glue"]},
        {"seeds": 1000},
    ],
)
def test_what_does_not_exist_is_refused_before_a_model_is_loaded(configured, changes):
    with pytest.raises(EntvizError):
        cells_of(configured(**changes))


def test_a_cell_is_a_study_that_pages_and_commands_ask_too(configured):
    config = configured(repairs=["none", "bias"], tasks=["grammar"])
    cells, _ = cells_of(config)
    asking, drop = Asking(config), PruneSet.parse("attn.1")
    kinds = {type(asking.measurement(cell, drop)) for cell in cells}
    assert kinds == {Evaluate, EvaluateRepaired, ScoreTask}
    plain = next(cell for cell in cells if cell.kind == "text" and not cell.repair)
    study = asking.measurement(plain, drop)
    assert study.text == config.texts[0].text
    assert (study.sample.windows, study.sample.window_length) == (3, 40)


def test_criteria_that_share_a_measurement_are_chosen_for_together(configured):
    config = configured(criteria=["cosine", "entrodrop:knn", "last", "leave-one-out"], budgets=[1, 2, "20%"])
    cells, _ = cells_of(config)
    asking = Asking(config)
    keys = {(cell.criterion, cell.budget): asking.choice_key(cell) for cell in cells}
    assert keys["cosine", "1"] == keys["cosine", "2"] == keys["entrodrop:knn", "1"]
    assert keys["last", "1"] == keys["last", "2"] != keys["cosine", "1"]
    assert keys["cosine", "20%"] != keys["cosine", "1"]
