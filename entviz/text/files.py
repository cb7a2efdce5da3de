"""Files of text and of token ids: decoded with one kind of line end, or refused with a message that helps.

read_text("notes.txt", note=print)
windows_from_token_ids(read_token_ids("ids.json"), loaded.vocabulary_size)
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entviz.errors import TextError
from entviz.reading import parse_json, read_bytes

MOST_BYTES = 200_000_000  # bytes of a file
_ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1")  # in the order in which they are tried


def _ignored(_note: str) -> None:
    """Ignore a note; the default."""


def read_text(path: str | Path, encoding: str = "utf-8", *, note: Callable[[str], None] = _ignored) -> str:
    """Read a text file with :func:`decode_text`.

    Raises:
        TextError: if there is no such file, it is too large, or it is not text in that encoding; the message names
            an encoding that works.
    """
    return decode_text(_read_bytes(path), encoding, name=str(path), note=note)


def decode_text(
    data: bytes,
    encoding: str | None = None,
    *,
    name: str = "The file",
    note: Callable[[str], None] = _ignored,
) -> str:
    """Decode the bytes of a text file, as UTF-8 by default.

    A byte order mark is removed, and line ends are converted by :func:`plain_line_ends`.

    Raises:
        TextError: if they are not text in that encoding; the message names an encoding that works.
    """
    wanted = encoding or "utf-8"
    try:
        codecs.lookup(wanted)
        text = data.decode(wanted).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        works = _encoding_that_works(data)
        if works is None:
            raise TextError(f"{name} is not a text file.") from None
        raise TextError(
            f"{name} is not {wanted} text (byte {error.start} does not fit). It can be read as {works}: choose that "
            f"encoding (--encoding {works}), or save it as UTF-8."
        ) from None
    except (
        LookupError,
        ValueError,
    ):  # Python has codecs that are not for text, and one that refuses everything
        raise TextError(f"There is no text encoding '{wanted[:40]}'; try utf-8, cp1252 or utf-16.") from None
    if "\0" in text:
        works = _encoding_that_works(data)
        hint = f" It looks like {works}: choose that encoding (--encoding {works})." if works else ""
        raise TextError(f"{name} holds NUL characters, so it is not {wanted} text.{hint}")
    return plain_line_ends(text, name=name, note=note)


def plain_line_ends(text: str, *, name: str = "The text", note: Callable[[str], None] = _ignored) -> str:
    """The text with every line ended by LF alone, as in the texts that models are trained on.

    CRLF and CR give other tokens, and change every number. ``note`` is called with a sentence if there were any.
    """
    if "\r" not in text:
        return text
    found = "CRLF" if "\r\n" in text else "CR"
    note(f"{name} ends its lines with {found}; they are read as ended with LF.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_token_ids(path: str | Path) -> Any:
    """Read token ids from a JSON file; :func:`entviz.text.windows.windows_from_token_ids` checks its content.

    Raises:
        TextError: if there is no such file, or it is not JSON.
    """
    try:
        return parse_json(_read_bytes(path))
    except ValueError as error:
        raise TextError(f"{path} is not JSON ({error}): it must hold a list of lists of token ids.") from None


def _encoding_that_works(data: bytes) -> str | None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for encoding in _ENCODINGS:
        # UTF-16 without its mark decodes almost any bytes into something, so it is never guessed.
        if encoding == "utf-16":
            continue
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        odd = sum(not (character.isprintable() or character.isspace()) for character in text[:10_000])
        if odd <= len(text[:10_000]) // 50:
            return encoding
    return None


def _read_bytes(path: str | Path) -> bytes:
    try:
        return read_bytes(path, MOST_BYTES, streams=True)
    except FileNotFoundError:
        raise TextError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise TextError(f"{path} is a directory; name a text file.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise TextError(f"{path} cannot be read: {reason}.") from None
