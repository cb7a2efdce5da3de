"""What a comparison will take: the work that it then does, without what is known, and progress that tells the rest."""

import pytest

from entviz.comparison.grid import grid, measuring
from entviz.comparison.grid.grid import compare, estimate
from entviz.errors import Cancelled
from entviz.evaluation.pace import Pace
from entviz.evaluation.work import NOTHING, Work
from entviz.studies import Compare, TextSample
from entviz.studies.registry import open_store
from entviz.studies.results import StoredParts
from tests.comparison.conftest import LAYERS, QUICK

QUESTION = Compare(TextSample("tiny", "", None, 40), ("last",), ("2",), ("mlp",))
# A pace at which the seconds are what is counted.
ONE_A_WINDOW = Pace(attention=1, mlp=1, projection=1, reference=1, alone=1, site=1)


@pytest.fixture
def one_a_window(monkeypatch):
    monkeypatch.setattr(grid, "pace", lambda *arguments, **options: ONE_A_WINDOW)


@pytest.fixture
def kept(tiny, tmp_path):
    return StoredParts(open_store(f"sqlite:///{tmp_path}/runs.sqlite"), tiny, QUESTION)


def plan(*arguments, **options):
    return grid._GridRun(*arguments, **options)._plan()


def test_nothing_is_run_to_tell_how_much_there_is_to_run(tiny, calibration, measured, monkeypatch):
    def run(*arguments, **options):
        raise AssertionError("something was run")

    monkeypatch.setattr(measuring, "evaluate_many", run)
    monkeypatch.setattr(type(tiny.anatomy), "begin", run)
    found = plan(tiny, calibration, measured, [*QUICK, "sleb", "search", "angular-distance"], ["1", "2"])
    assert found.prune_sets == 2 * (len(QUICK) - 1 + 3 + 3)
    assert found.takes_time


def test_where_all_sets_are_known_before_it_is_the_work_that_is_done(
    tiny, calibration, measured, monkeypatch
):
    """Last and random choose without looking, so what is counted is just what is run."""
    found = plan(tiny, calibration, measured, ["last", "random"], ["1", "3"], levels=["attn"])
    sets = []
    real = measuring.evaluate_many
    monkeypatch.setattr(
        measuring, "evaluate_many", lambda a, b, drops, **k: (sets.append(drops), real(a, b, drops, **k))[1]
    )
    compare(tiny, calibration, measured, ["last", "random"], ["1", "3"], levels=["attn"])
    (piece,) = found.pieces
    assert piece.choosing == NOTHING
    pruned = {drop for drops in sets for drop in drops if drop}
    assert piece.measuring.projections == len(pruned) * len(measured)
    assert found.dense.references == len(measured)
    assert found.analysis == NOTHING


def test_only_who_chooses_by_an_analysis_needs_one_and_a_known_one_takes_nothing(tiny, calibration, measured):
    from entviz.analysis import analyze

    arguments = (tiny, calibration, measured, ["cosine"], ["2"])
    sites = 2 * LAYERS + 1
    assert plan(*arguments).analysis.sites == sites * len(calibration)
    known = plan(*arguments, analysis=analyze(tiny, calibration, ("cosine",)))
    assert known.analysis == NOTHING
    assert known.pieces[0].measuring.projections == len(measured)


def test_the_search_takes_the_time_that_it_is_given(tiny, calibration, measured):
    found = plan(tiny, calibration, measured, ["search"], ["1", "2"], seconds=7.5)
    assert found.pieces[0].choosing == Work(seconds=15)


def test_what_was_done_before_it_was_stopped_counts_nothing(
    tiny, calibration, measured, kept, monkeypatch, one_a_window
):
    monkeypatch.setattr(measuring, "_TOGETHER", 2)
    arguments = (tiny, calibration, measured, ["last", "sleb"], ["1", "2", "3"])
    options = {"levels": ["attn"], "kept": kept}

    def stop_after_some(done, total, partial=None, /):
        if partial is not None and len(partial.rows) >= 2:
            raise Cancelled("Stopped.")

    whole = estimate(*arguments, **options)
    with pytest.raises(Cancelled):
        compare(*arguments, progress=stop_after_some, **options)
    rest = estimate(*arguments, **options)
    assert 0 < rest.seconds < whole.seconds
    assert rest.prune_sets == whole.prune_sets == 6
    compare(*arguments, **options)
    assert estimate(*arguments, **options).seconds == 0
    assert "all of them known" in estimate(*arguments, **options).in_words()


def test_progress_is_the_share_of_the_time(tiny, calibration, measured, one_a_window):
    """Each part of the work begins where its share of the seconds of all parts says."""
    arguments = (tiny, calibration, measured, ["last", "cosine", "sleb"], ["1", "2"])
    run = grid._GridRun(*arguments, levels=["attn"])
    spans = list(run._spans(run._plan()))
    seconds = [ONE_A_WINDOW.seconds(work) for work in run._plan().works]
    assert [end - start for start, end in spans] == pytest.approx([each / sum(seconds) for each in seconds])
    seen = []
    found = compare(
        *arguments, levels=["attn"], progress=lambda done, total, partial=None, /: seen.append(done / total)
    )
    assert found.finished
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1, abs=0.01)


def test_random_sets_stand_for_those_not_chosen_yet(tiny, calibration, measured):
    """What cosine will choose is not known; the projections are, and the layers lie within what sets can take."""
    found = plan(tiny, calibration, measured, ["cosine"], ["1", "2"], levels=["attn"])
    (piece,) = found.pieces
    assert piece.measuring.projections == 2 * len(measured)
    assert 0 < piece.measuring.mlps <= 2 * LAYERS * len(measured)


def test_estimating_can_be_stopped(tiny, calibration, measured):
    def stop(done, total, partial=None, /):
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        estimate(tiny, calibration, measured, ["last"], ["1"], progress=stop)


def test_a_budget_out_of_reach_has_no_set(tiny, calibration, measured):
    found = plan(tiny, calibration, measured, ["cosine"], ["1", "40"], levels=["attn"])
    assert found.pieces[0].measuring.projections == len(measured)
