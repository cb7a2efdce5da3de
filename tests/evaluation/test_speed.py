"""How fast a pruned model is: it and the dense one do the same work, in turn, in one piece of work."""

import pytest

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.errors import Cancelled
from entviz.evaluation import speed
from entviz.evaluation.generation import generate
from entviz.studies import Generate, Prompt
from entviz.studies.study import Material

DROP = PruneSet.parse("attn.5,layer.7")


@pytest.fixture
def runs(smollm2, monkeypatch):
    """What the model runs: the prune set and how many tokens, in order."""
    found = []
    run = Anatomy.run

    def noted(self, token_ids, drop, *rest):
        found.append((str(drop), token_ids.shape[1]))
        return run(self, token_ids, drop, *rest)

    monkeypatch.setattr(Anatomy, "run", noted)
    return found


def in_turns(runs):
    """The runs two by two: in each two the dense and the pruned model do the same work."""
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    assert all({drop for drop, _ in pair} == {"", str(DROP)} for pair in pairs)
    assert all(first[1] == second[1] for first, second in pairs)
    return pairs


def test_reading_a_window_is_timed_in_turn(smollm2, runs):
    windows = smollm2.windows("The quick brown fox jumps over the lazy dog. " * 8, window_length=20)
    dense, pruned = speed.reading_seconds(smollm2, windows, DROP, repeats=3)
    assert len(dense) == len(pruned) == 3
    assert len(in_turns(runs)) == 4
    assert min(*dense, *pruned) > 0


@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
def test_a_continuation_is_timed_in_turn_on_its_own_tokens(smollm2, runs, use_cache):
    written = generate(smollm2, "Once upon a time", DROP, max_new_tokens=8, use_cache=use_cache)
    runs.clear()
    found = speed.timed(smollm2, written, use_cache=use_cache)
    read, wrote = 2 * (speed.REPEATS + 1), 2 * 8
    assert (found.token_ids, found.text) == (written.token_ids, written.text)
    assert [len(side) for side in (*found.reading_seconds, *found.writing_seconds)] == [5, 5, 7, 7]
    assert {tokens for _, tokens in runs[:read]} == {found.prompt_tokens}
    in_turns(runs)
    grown = [tokens for _, tokens in runs[-wrote:]]
    assert grown == [
        tokens for n in range(8) for tokens in 2 * [1 if use_cache else found.prompt_tokens + 1 + n]
    ]


def test_the_dense_model_and_a_text_of_few_tokens_have_no_speed_of_writing(smollm2, runs):
    dense = generate(smollm2, "Once upon a time", PruneSet(), max_new_tokens=8)
    assert speed.timed(smollm2, dense) is dense
    short = speed.timed(smollm2, generate(smollm2, "Once upon a time", DROP, max_new_tokens=3))
    assert short.reading is not None
    assert short.writing is None


def test_timing_can_be_stopped(smollm2):
    written = generate(smollm2, "Once upon a time", DROP, max_new_tokens=8)

    def stop(done, total, partial=None, /):
        raise Cancelled

    with pytest.raises(Cancelled):
        speed.timed(smollm2, written, progress=stop)


def test_a_job_writes_and_times_both_in_one_piece_of_work(smollm2, runs):
    study = Generate(Prompt("smollm2-135m", "Once upon a time"), DROP, 8)
    seen = []
    found = study.compute(
        Material(smollm2, None, None, None, None),
        lambda done, total, partial=None, /: seen.append((done / total, partial)),
    )
    assert found.writing.repeats == 7
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    texts = [partial for _, partial in seen if partial is not None]
    assert texts[-1].token_ids == found.token_ids  # the text is there before anything is timed
