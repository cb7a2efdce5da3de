"""Comparing with repairs: the numbers are those of fitting and evaluating by hand, and nothing is done twice."""

import pytest

from entviz.blocks import PruneSet
from entviz.comparison.grid import measuring
from entviz.comparison.grid.contenders import contenders, title, with_repairs
from entviz.comparison.grid.grid import compare, estimate
from entviz.comparison.grid.verdict import verdict
from entviz.errors import OptionError
from entviz.evaluation.loss import evaluate
from entviz.models.loaded import LoadedModel
from entviz.repair.fitting import fit
from entviz.repair.self_written import self_written
from tests.tiny import build


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    """The text that a model writes is written once for all tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ENTVIZ_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_repaired_row_is_what_fitting_and_evaluating_give(tiny, calibration, measured):
    names = with_repairs(["cosine", "last"], ["bias", "ghosted"])
    found = compare(tiny, calibration, measured, names, ["1", "2"], levels=["mlp"])
    assert len(found.rows) == found.rows_total == 2 * 3 * 2
    kinds = {
        "bias": [calibration, self_written(tiny, windows=6, length=64)],
        "ghosted": [calibration, self_written(tiny, windows=16, length=256)],
    }
    for row in found.rows.itertuples():
        drop = PruneSet.parse(row.drop)
        repair = fit(tiny, kinds[row.repair], drop, row.repair, dtype="auto") if row.repair else None
        alone = evaluate(tiny, measured, drop, repair=repair)
        assert row.window_nll == pytest.approx(alone.per_window_nll, abs=1e-5)
        assert row.kl == pytest.approx(alone.kl, abs=1e-5)
        assert row.parameters == alone.parameters_pruned
    plain = found.rows.query("repair == ''").set_index(["criterion", "budget"])
    for row in found.rows.query("repair != ''").itertuples():
        assert plain.loc[(row.criterion, row.budget), "drop"] == row.drop, (
            "a repair does not change the choice"
        )
    said = " ".join(verdict(found))
    assert "Repaired by bias, " in said
    assert "of the best without repair" in said


def test_text_that_is_measured_is_not_fitted_on(tiny, measured, monkeypatch):
    fitted = []
    monkeypatch.setattr(
        measuring,
        "fit",
        lambda loaded, kinds, *rest, **more: fitted.append(kinds) or fit(loaded, kinds, *rest, **more),
    )
    compare(tiny, measured, measured, ["last:repaired=bias"], ["1"], levels=["mlp"])
    [[written]] = fitted
    assert written.fingerprint == self_written(tiny, windows=6, length=64).fingerprint


def test_a_repair_that_does_not_fit_the_model_leaves_a_note(calibration, measured):
    """What the blocks of Gemma 2 add goes through a norm, so that no matrix can be refitted."""
    model = LoadedModel.of(build("gemma2"))
    names = ["cosine", "cosine:repaired=refit"]
    found = compare(model, calibration, measured, names, ["1"], levels=["attn"])
    assert list(found.rows["name"]) == ["cosine"]
    assert found.finished
    assert any(note.startswith("Cosine (refit) has no row") and "norm" in note for note in found.notes)


def test_the_estimate_counts_the_fits(tiny, calibration, measured):
    usual, more = (
        estimate(tiny, calibration, measured, with_repairs(["last"], repairs), ["1", "2"], levels=["mlp"])
        for repairs in ([], ["bias"])
    )
    assert (usual.prune_sets, more.prune_sets) == (2, 4)
    assert more.seconds > usual.seconds


def test_names():
    assert with_repairs(["cosine", "entrodrop:knn:iterative"], ["refit"]) == (
        "cosine",
        "cosine:repaired=refit",
        "entrodrop:knn:iterative",
        "entrodrop:knn:iterative:repaired=refit",
    )
    [entry], notes = contenders(["entrodrop:knn:unprotected:repaired=nbl"], ["attn"])
    assert not notes
    assert (entry.repair, entry.protect) == ("nbl", (0, 0))
    assert entry.choosing == "entrodrop:knn:unprotected"
    assert title("cosine:repaired=refit") == "Cosine (refit)"
    with pytest.raises(OptionError, match="more than one repair"):
        contenders(["cosine:repaired=bias:repaired=refit"])
    with pytest.raises(OptionError, match="not a repair"):
        with_repairs(["cosine"], ["glue"])
    with pytest.raises(OptionError, match="repaired=glue"):
        contenders(["cosine:repaired=glue"])
