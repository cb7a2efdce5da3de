"""Text, files and token ids turned into windows that go through the model.

    windows = windows_from_text(passages()["story"].text, loaded.tokenizer, windows=4, window_length=128)
    windows.token_ids.shape                  # (4, 128)

Windows are consecutive, from the start of the text, and always whole. Each is a text of its own: where the tokenizer
puts a token before a text (``<bos>``), the model reads it before every window. A window of 128 tokens is 128 tokens of
the text and what begins it; the same 127 tokens are predicted, and scored, with a beginning token and without.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entviz.errors import OptionError, TextError, TooShortError
from entviz.reading import parse_json, read_bytes
from entviz.text.beginning import tokenize

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 200_000_000  # of a file
MOST_WINDOWS = 100_000
_ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1")  # in the order in which they are offered


def _ignored(_note: str) -> None:
    """Who does not ask for notes gets none."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Token ids in windows of equal length.

    Attributes:
        token_ids: int64 (windows, tokens) of the text, in the processor's memory.
        fingerprint: a hash of their shape and values, and of what begins them.
        beginning: the ids that the model reads before each window; they are no targets.
    """

    token_ids: Tensor
    fingerprint: str
    beginning: tuple[int, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], beginning: tuple[int, ...] = ()) -> Windows:
        """Windows of equally long rows of token ids."""
        import torch

        token_ids = torch.tensor(rows, dtype=torch.long)
        digest = hashlib.sha256(f"{tuple(token_ids.shape)}".encode() + token_ids.numpy().tobytes())
        if beginning:
            digest.update(f"after {beginning}".encode())
        return cls(token_ids, digest.hexdigest(), beginning)

    @property
    def inputs(self) -> Tensor:
        """What goes through the model: int64 (windows, beginning + tokens)."""
        import torch

        before = torch.tensor(self.beginning, dtype=torch.long).expand(len(self.token_ids), -1)
        return torch.cat([before, self.token_ids], dim=1)

    def take(self, places: slice | Sequence[int]) -> Windows:
        """Some of these windows, by their numbers."""
        return Windows.of(self.token_ids[places].tolist(), self.beginning)


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
    text: str,
    tokenizer: Any,
    *,
    windows: int | None = None,
    window_length: int = 256,
    begin: bool = True,
    vocabulary_size: int | None = None,
) -> Windows:
    """Cut a text into consecutive windows from its start, leaving out what does not fill one.

    Args:
        tokenizer: a transformers tokenizer.
        windows: how many; by default as many whole ones as there are, up to 100,000.
        window_length: tokens of the text in each.
        begin: False leaves out what the tokenizer puts before a text.
        vocabulary_size: how many token ids the model knows, to name one that it does not. ``loaded.windows(text)``
            gives it; without it the model says so when it runs.

    Raises:
        TextError: for an empty text, one with too few tokens, or one with a token that the model does not know.
        OptionError: for a number of windows below 1 or a length below 2.
    """
    if windows is not None and not 1 <= windows <= MOST_WINDOWS:
        raise OptionError(f"Ask for 1 to {MOST_WINDOWS} windows, not {windows}.")
    if window_length < 2:
        raise OptionError(
            f"A window needs at least 2 tokens, not {window_length}: one to read and one to predict."
        )
    if not text.strip():
        raise TooShortError("The text is empty: write or choose a few paragraphs.")
    found = tokenize(text, tokenizer, begin=begin, vocabulary_size=vocabulary_size)
    token_ids = found.text
    whole = min(len(token_ids) // window_length, MOST_WINDOWS)
    if whole == 0:
        raise TooShortError(
            f"The text has {len(token_ids)} tokens, fewer than one window of {window_length}: give more text or "
            "shorter windows."
        )
    if windows is not None and windows > whole:
        raise TooShortError(
            f"The text has {len(token_ids)} tokens, enough for {whole} windows of {window_length} but not for "
            f"{windows}: give more text, or fewer or shorter windows."
        )
    count = whole if windows is None else windows
    rows = [token_ids[i * window_length : (i + 1) * window_length] for i in range(count)]
    return Windows.of(rows, found.beginning)


def windows_from_token_ids(token_ids: list[list[int]], vocabulary_size: int) -> Windows:
    """Windows of token ids that were made elsewhere.

    Raises:
        TextError: unless it is a list of equally long lists (of at least two) of ids from 0 to
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
    if length < 2:
        raise TextError("A window needs at least 2 token ids: one to read and one to predict.")
    return Windows.of(token_ids)


def read_text(path: str | Path, encoding: str = "utf-8", *, note: Callable[[str], None] = _ignored) -> str:
    """Read a text file, as :func:`decode_text` does.

    Raises:
        TextError: where there is no such file, it is too large, or it is not text in that encoding; the message names
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
    """Decode the bytes of a text file, as UTF-8 unless told otherwise.

    A byte order mark is taken off, and line ends are read as :func:`plain_line_ends` says.

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
    return plain_line_ends(text, name=name, note=note)


def plain_line_ends(text: str, *, name: str = "The text", note: Callable[[str], None] = _ignored) -> str:
    """The text with every line ended by LF alone, as in the texts that models are trained on.

    CRLF and CR are other tokens, and change every number. ``note`` gets a sentence where there were any.
    """
    if "\r" not in text:
        return text
    found = "CRLF" if "\r\n" in text else "CR"
    note(f"{name} ends its lines with {found}; they are read as ended with LF.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
        return read_bytes(path, MOST_BYTES, streams=True)
    except FileNotFoundError:
        raise TextError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise TextError(f"{path} is a directory; name a text file.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise TextError(f"{path} cannot be read: {reason}.") from None
