"""Notes about windows that a model was not trained for."""

import pytest

import entviz
from entviz.blocks import PruneSet
from entviz.models import LoadedModel
from entviz.models.notes import notes_on
from tests.models.files import tokenizer
from tests.text.tokenizers import adding
from tests.tiny import build

TEXT = "the harbour was quiet and the gulls slept on the wall until the first boat came in " * 3


@pytest.mark.parametrize(("length", "noted"), [(24, False), (25, True)])
def test_windows_longer_than_the_model_was_trained_for(length, noted):
    loaded = LoadedModel.of(build("llama", max_position_embeddings=24), tokenizer())
    windows = loaded.windows(TEXT, windows=2, window_length=length)
    notes = entviz.evaluate(loaded, windows, PruneSet()).notes
    assert notes == entviz.analyze(loaded, windows, ("bucket",)).notes
    assert notes == entviz.rank(loaded, windows, "cosine").notes
    assert [note[:26] for note in notes] == (["Each window has 25 tokens,"] if noted else [])
    if noted:
        assert "trained to read 24 at once" in notes[0]


def test_the_beginning_counts():
    loaded = LoadedModel.of(build("llama", max_position_embeddings=24), adding("<s> $A"))
    assert len(notes_on(loaded, loaded.windows(TEXT, windows=1, window_length=23))) == 1
    assert "has 25 tokens" in notes_on(loaded, loaded.windows(TEXT, windows=1, window_length=24))[1]


def test_a_continuation_that_goes_beyond():
    loaded = LoadedModel.of(build("llama", max_position_embeddings=12, eos_token_id=None), tokenizer())
    assert entviz.generate(loaded, "the gull", PruneSet(), max_new_tokens=4).notes == ()
    [note] = entviz.generate(loaded, "the gull", PruneSet(), max_new_tokens=5).notes
    assert "has 13 tokens, but the model was trained to read 12" in note


def test_a_model_that_names_no_length():
    loaded = LoadedModel.of(build("bloom"), tokenizer())
    assert loaded.trained_positions is None
    assert notes_on(loaded, loaded.windows(TEXT, windows=1, window_length=100)) == ()
