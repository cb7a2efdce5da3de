"""Text files in every encoding, and files that are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entviz.errors import TextError
from entviz.text.files import decode_text, read_text, read_token_ids


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
