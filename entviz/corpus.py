"""Text, files and token ids turned into windows that go through the model.

    windows = windows_from_text(passages()["story"].text, loaded.tokenizer, windows=4, window_length=128)
    windows.token_ids.shape                  # (4, 128)

Windows are consecutive, from the start of the text, and always whole. No special tokens are added.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz.errors import OptionError, TextError
from entviz.reading import parse_json, read_bytes

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 200_000_000  # of a file
MOST_WINDOWS = 100_000
_ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1")  # in the order in which they are offered


@dataclass(frozen=True, eq=False)
class Windows:
    """Token ids in windows of equal length.

    Attributes:
        token_ids: int64 (windows, tokens), in the processor's memory.
        fingerprint: a hash of their shape and values.
    """

    token_ids: Tensor
    fingerprint: str


@dataclass(frozen=True)
class Passage:
    """A built-in text: its name, a title, and the text."""

    name: str
    title: str
    text: str


@cache
def passages() -> dict[str, Passage]:
    """The six built-in texts by name: news, story, code, law, medicine, dialogue. All were written for entviz."""
    titles = {
        "news": "News report",
        "story": "Short story",
        "code": "Program",
        "law": "Lease agreement",
        "medicine": "Medical advice",
        "dialogue": "Dialogue",
    }
    folder = files("entviz") / "passages"
    return {
        name: Passage(name, title, (folder / f"{name}.txt").read_text(encoding="utf-8"))
        for name, title in titles.items()
    }


def windows_from_text(
    text: str, tokenizer: Any, *, windows: int | None = None, window_length: int = 256
) -> Windows:
    """Cut a text into consecutive windows from its start, leaving out what does not fill one.

    Args:
        tokenizer: a transformers tokenizer.
        windows: how many; by default as many whole ones as there are, up to 100,000.
        window_length: tokens in each.

    Raises:
        TextError: for an empty text, or one with too few tokens.
        OptionError: for a number of windows below 1 or a length below 2.
    """
    if windows is not None and not 1 <= windows <= MOST_WINDOWS:
        raise OptionError(f"Ask for 1 to {MOST_WINDOWS} windows, not {windows}.")
    if window_length < 2:
        raise OptionError(
            f"A window needs at least 2 tokens, not {window_length}: one to read and one to predict."
        )
    if not text.strip():
        raise TextError("The text is empty: write or choose a few paragraphs.")
    token_ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    whole = min(len(token_ids) // window_length, MOST_WINDOWS)
    if whole == 0:
        raise TextError(
            f"The text has {len(token_ids)} tokens, fewer than one window of {window_length}: give more text or "
            "shorter windows."
        )
    if windows is not None and windows > whole:
        raise TextError(
            f"The text has {len(token_ids)} tokens, enough for {whole} windows of {window_length} but not for "
            f"{windows}: give more text, or fewer or shorter windows."
        )
    count = whole if windows is None else windows
    return _windows([token_ids[i * window_length : (i + 1) * window_length] for i in range(count)])


def windows_from_token_ids(token_ids: list[list[int]], vocabulary_size: int, *, fewest: int = 2) -> Windows:
    """Windows of token ids that were made elsewhere.

    ``fewest`` is how many a window needs: two where something is predicted within it, one for a prompt.

    Raises:
        TextError: unless it is a list of equally long lists (of at least ``fewest``) of ids from 0 to
            ``vocabulary_size`` - 1.
    """
    if (
        not isinstance(token_ids, list)
        or not token_ids
        or not all(isinstance(row, list) for row in token_ids)
    ):
        raise TextError(
            "Token ids must be a list of lists of numbers, one inner list a window: [[3, 1, 4], [1, 5, 9]]."
        )
    if len(token_ids) > MOST_WINDOWS:
        raise TextError(f"There are {len(token_ids)} windows; give at most {MOST_WINDOWS}.")
    length = len(token_ids[0])
    for number, row in enumerate(token_ids):
        if len(row) != length:
            raise TextError(
                f"Window {number} has {len(row)} token ids and window 0 has {length}: make them equally long."
            )
        for token_id in row:
            if type(token_id) is not int:
                raise TextError(f"Window {number} holds {repr(token_id)[:40]}, which is not a token id.")
            if not 0 <= token_id < vocabulary_size:
                raise TextError(
                    f"Token id {token_id} in window {number} is outside the vocabulary: the model knows ids 0 to "
                    f"{vocabulary_size - 1}. Were the ids made by another model's tokenizer?"
                )
    if length < fewest:
        reason = ": one to read and one to predict" if fewest == 2 else ""
        raise TextError(f"A window needs at least {fewest} token ids{reason}.")
    return _windows(token_ids)


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """Read a text file.

    Raises:
        TextError: where there is no such file, it is too large, or it is not text in that encoding; the message names
            an encoding that works.
    """
    return decode_text(_read_bytes(path), encoding, name=str(path))


def decode_text(data: bytes, encoding: str | None = None, *, name: str = "The file") -> str:
    """Decode the bytes of a text file, as UTF-8 unless told otherwise. A byte order mark is taken off.

    Raises:
        TextError: where they are not text in that encoding; the message names an encoding that works.
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
    return text


def read_token_ids(path: str | Path) -> Any:
    """Read token ids from a JSON file; :func:`windows_from_token_ids` checks what is in it.

    Raises:
        TextError: where there is no such file, or it is not JSON.
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
        return read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise TextError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise TextError(f"{path} is a directory; name a text file.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise TextError(f"{path} cannot be read: {reason}.") from None


def _windows(rows: list[list[int]]) -> Windows:
    import torch

    token_ids = torch.tensor(rows, dtype=torch.long)
    digest = hashlib.sha256(f"{tuple(token_ids.shape)}".encode() + token_ids.numpy().tobytes())
    return Windows(token_ids, digest.hexdigest())
