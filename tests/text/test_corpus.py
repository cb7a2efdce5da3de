"""Texts cut into windows, and files that are not what they should be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entviz.errors import OptionError, TextError
from entviz.text.corpus import (
    decode_text,
    passages,
    read_text,
    read_token_ids,
    windows_from_text,
    windows_from_token_ids,
)
from tests.models.files import tokenizer

TOKENIZER = tokenizer()


@given(letters=st.text("cdefgh ", min_size=1, max_size=300), length=st.integers(2, 40), data=st.data())
def test_windows_are_consecutive_whole_and_from_the_start(letters, length, data):
    text = f"x{letters}"
    ids = TOKENIZER(text).input_ids
    whole = len(ids) // length
    if whole == 0:
        with pytest.raises(TextError, match=f"has {len(ids)} tokens, fewer than one window of {length}"):
            windows_from_text(text, TOKENIZER, window_length=length)
        return
    assert windows_from_text(text, TOKENIZER, window_length=length).token_ids.shape == (whole, length)
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


def test_six_passages_of_different_registers(smollm2):
    assert list(passages()) == ["news", "story", "code", "law", "medicine", "dialogue"]
    for passage in passages().values():
        assert len(smollm2.tokenizer(passage.text).input_ids) >= 512, passage.name
        assert windows_from_text(passage.text, smollm2.tokenizer, windows=2).token_ids.shape == (2, 256)


@pytest.mark.parametrize(
    ("encoding", "offered"), [("cp1252", "cp1252"), ("utf-16", "utf-16"), ("latin-1", "cp1252")]
)
def test_another_encoding_is_offered_and_works(tmp_path, encoding, offered):
    text = "Grüße aus Köln: „5 € für drei Äpfel“, sagte sie."
    if encoding == "latin-1":
        text = "Grüße aus Köln, sagte sie."
    (tmp_path / "text.txt").write_bytes(text.encode(encoding))
    with pytest.raises(TextError, match=rf"--encoding {offered}\b"):
        read_text(tmp_path / "text.txt")
    assert read_text(tmp_path / "text.txt", offered) == text


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff\r")))
def test_utf_8_is_read_with_or_without_its_mark(text):
    assert decode_text(text.encode()) == text
    assert decode_text(text.encode("utf-8-sig")) == text


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_text_or_a_sentence(data):
    try:
        text = decode_text(data, name="it")
    except TextError as error:
        said = str(error)
    else:
        said = ""
        assert "\0" not in text
    assert "\n" not in said
    assert len(said) < 300


def test_pictures_are_not_text():
    with pytest.raises(TextError, match=r"is not a text file|NUL"):
        decode_text(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\5\0\0\0\3 \10\2\0\0\0" * 9, name="picture.png")


def test_json_that_is_too_deep(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(TextError, match="is not JSON"):
        read_token_ids(tmp_path / "deep.json")
