"""Texts cut into windows, and windows as a sequence."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entviz.errors import OptionError, TextError
from entviz.text.windows import Windows, windows_from_text, windows_from_token_ids
from tests.models.files import tokenizer

TOKENIZER = tokenizer()
ROWS = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]


@given(letters=st.text("cdefgh ", min_size=1, max_size=300), length=st.integers(2, 40), data=st.data())
def test_windows_are_consecutive_whole_and_from_the_start(letters, length, data):
    text = f"x{letters}"
    ids = TOKENIZER(text).input_ids
    whole = len(ids) // length
    if whole == 0:
        with pytest.raises(TextError, match=f"has {len(ids)} tokens, fewer than one window of {length}"):
            windows_from_text(text, TOKENIZER, window_length=length)
        return
    every = windows_from_text(text, TOKENIZER, window_length=length)
    assert (len(every), every.length) == (whole, length)
    count = data.draw(st.integers(1, whole))
    found = windows_from_text(text, TOKENIZER, windows=count, window_length=length)
    assert found.token_ids.flatten().tolist() == ids[: count * length]
    assert found.token_ids.dtype == torch.int64
    with pytest.raises(TextError, match=f"enough for {whole} windows of {length} but not for {whole + 1}"):
        windows_from_text(text, TOKENIZER, windows=whole + 1, window_length=length)


def test_no_special_tokens_are_added(smollm2):
    found = windows_from_text("Once upon a time there was a house.", smollm2.tokenizer, window_length=4)
    assert smollm2.tokenizer.decode(found.token_ids[0]) == "Once upon a time"


def test_fingerprints_tell_windows_apart():
    rows = [[1, 2, 3, 4], [5, 6, 7, 8]]
    one = windows_from_token_ids(rows, 10)
    assert one.fingerprint == windows_from_token_ids(rows, 99).fingerprint
    assert one.fingerprint != windows_from_token_ids([[1, 2, 3, 4, 5, 6, 7, 8]], 10).fingerprint
    assert one.fingerprint != windows_from_token_ids(rows[::-1], 10).fingerprint


@pytest.mark.parametrize("length", [-1, 0, 1])
def test_a_window_of_nothing(length):
    with pytest.raises(OptionError, match="at least 2 tokens"):
        windows_from_text("text", TOKENIZER, window_length=length)


@pytest.mark.parametrize(
    "rows", [None, 3, "ids", {}, [], [3, 4], [[1, 2], 3], [[]], [[1]], [[1, 2], [1]], [[1, None]], [[1, "2"]]]
)
def test_token_ids_that_are_none(rows):
    with pytest.raises(TextError):
        windows_from_token_ids(rows, 10)


def test_a_fingerprint_is_that_of_results_stored_by_earlier_versions():
    plain, begun = Windows.of(ROWS[:2]), Windows.of(ROWS[:2], (2,))
    assert plain.fingerprint == "a80b9602b6f8e82bdecb56fa96e4d155aec7f5edc8cc2c2eca74c4d2d8514ba5"
    assert begun.fingerprint == "4aa914e30e206d246beb498c9c94473653198b3dcdea1d2993683f63e9dd1cfc"
    assert begun[1].fingerprint == "3317da9d6f9823a99b4042b03bc37323e5dec5e39a12cbe4175552e15069c1ce"


@given(beginning=st.sampled_from([(), (2,)]), cut=st.slices(3), place=st.integers(-3, 2))
def test_a_part_is_as_windows_of_its_ids_alone(beginning, cut, place):
    whole = Windows.of(ROWS, beginning)
    assert whole[place].fingerprint == Windows.of([ROWS[place]], beginning).fingerprint
    assert whole[[place, 0]].token_ids.tolist() == [ROWS[place], ROWS[0]]
    if ROWS[cut]:
        assert whole[cut].fingerprint == Windows.of(ROWS[cut], beginning).fingerprint
        assert (len(whole[cut]), whole[cut].length) == (len(ROWS[cut]), 4)
    else:
        with pytest.raises(OptionError, match="choose at least one"):
            whole[cut]


def test_windows_are_gone_through_one_by_one_and_joined_again():
    whole = Windows.of(ROWS, (2,))
    assert [window.inputs.tolist() for window in whole] == [[[2, *row]] for row in ROWS]
    assert whole.input_length == whole.inputs.shape[1] == 5
    assert Windows.join(whole).fingerprint == (whole[:1] + whole[1:]).fingerprint == whole.fingerprint
    with pytest.raises(IndexError):
        whole[3]


@pytest.mark.parametrize(
    "other", [Windows.of([[1, 2, 3]], (2,)), Windows.of(ROWS)], ids=["length", "beginning"]
)
def test_windows_that_differ_are_not_joined(other):
    with pytest.raises(OptionError, match="same number of tokens and the same beginning"):
        Windows.of(ROWS, (2,)) + other


def test_no_windows_are_refused():
    with pytest.raises(OptionError, match="choose at least one"):
        Windows.of([])
