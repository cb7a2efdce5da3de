"""Windows: runs of token ids of equal length that go through a model one by one.

    windows = windows_from_text(passages()["story"].text, loaded.tokenizer, windows=4, window_length=128)
    len(windows), windows.length             # (4, 128)
    windows[:2] + windows[3]                 # three windows, in a sequence like any other

Windows of a text are consecutive, from its start, and always complete. Each is a separate text: if the tokenizer puts a
token before a text (``<bos>``), the model reads it before every window. A window of 128 tokens has 128 tokens of the
text after its beginning token. The same 127 tokens are predicted and scored with and without a beginning token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from entviz.errors import OptionError, TextError, TooShortError
from entviz.text.beginning import tokenize

if TYPE_CHECKING:
    from torch import Tensor

MOST_WINDOWS = 100_000


@dataclass(frozen=True, eq=False)
class Windows:
    """A sequence of windows of equal length, at least one.

    ``windows[3]`` is the fourth window alone, ``windows[:4]`` the first four, ``windows[[0, 9]]`` the first and the
    tenth. Iterating gives each window alone, and ``+`` joins windows. Windows with the same ids have the same
    fingerprint, wherever they come from.

    Attributes:
        token_ids: int64 (windows, tokens) of the text, in the processor's memory.
        beginning: the ids that the model reads before each window; they are not predicted.

    Raises:
        OptionError: if there would be no window, or if joined windows differ in length or beginning.
    """

    token_ids: Tensor
    beginning: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.token_ids):
            raise OptionError("No window is chosen: choose at least one.")

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], beginning: tuple[int, ...] = ()) -> Windows:
        """Windows of equally long rows of token ids."""
        import torch

        return cls(torch.tensor(rows, dtype=torch.long), beginning)

    @classmethod
    def join(cls, parts: Iterable[Windows]) -> Windows:
        """All windows of ``parts`` in their order."""
        import torch

        parts = list(parts)
        kinds = {(part.length, part.beginning) for part in parts}
        if len(kinds) != 1:
            raise OptionError(
                "Windows can be joined only if all have the same number of tokens and the same beginning: cut their "
                "texts with the same window length and tokenizer."
            )
        return cls(torch.cat([part.token_ids for part in parts]), parts[0].beginning)

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.token_ids)

    def __getitem__(self, places: int | slice | Sequence[int]) -> Windows:
        """Some of these windows, by their numbers."""
        if isinstance(places, slice):
            places = range(len(self))[places]
        chosen = list(places) if isinstance(places, Sequence) else [places]
        return Windows(self.token_ids[chosen], self.beginning)

    def __iter__(self) -> Iterator[Windows]:
        """Each window alone."""
        return (self[place] for place in range(len(self)))

    def __add__(self, other: Windows) -> Windows:
        """These windows, then the others."""
        return Windows.join([self, other])

    @property
    def length(self) -> int:
        """The number of tokens of the text in each window."""
        return int(self.token_ids.shape[1])

    @property
    def input_length(self) -> int:
        """The number of tokens that the model reads for each window, including its beginning."""
        return len(self.beginning) + self.length

    @cached_property
    def fingerprint(self) -> str:
        """A hash of their number, length, token ids and beginning, which is part of the keys of results."""
        shape = (len(self), self.length)
        digest = hashlib.sha256(f"{shape}".encode() + self.token_ids.numpy().tobytes())
        if self.beginning:
            digest.update(f"after {self.beginning}".encode())
        return digest.hexdigest()

    @property
    def inputs(self) -> Tensor:
        """The model's input: int64 (windows, beginning + tokens)."""
        import torch

        before = torch.tensor(self.beginning, dtype=torch.long).expand(len(self), -1)
        return torch.cat([before, self.token_ids], dim=1)


def windows_from_text(
    text: str,
    tokenizer: Any,
    *,
    windows: int | None = None,
    window_length: int = 256,
    begin: bool = True,
    vocabulary_size: int | None = None,
) -> Windows:
    """Cut a text into consecutive windows from its start. A rest that does not fill a window is left out.

    Args:
        tokenizer: a transformers tokenizer.
        windows: the number of windows; by default all complete ones, up to 100,000.
        window_length: the number of tokens of the text in each window.
        begin: False leaves out the tokenizer's beginning token.
        vocabulary_size: the number of token ids that the model knows, to refuse others. ``loaded.windows(text)`` gives
            it; without it, the model refuses them when it runs.

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
    """Windows of given token ids.

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
