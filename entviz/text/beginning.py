"""How a text begins: the only module that turns text into token ids, for windows, prompts and task contexts alike.

    found = tokenize("The harbour was quiet", tokenizer)
    found.beginning                  # (2,) for a Gemma, whose tokenizer adds <bos>; () for SmolLM2
    found.token_ids                  # the beginning, then the text's own tokens

A model that was trained with a beginning token before every text is nearly random without it. Whether the tokenizer
adds one is found by encoding a text, because neither ``bos_token_id`` nor ``add_bos_token`` shows what its
post-processor does. A token that the tokenizer appends, such as ``</s>``, is never kept: it would end the text before
its continuation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entviz.errors import TextError

_PROBE = "a"


@dataclass(frozen=True)
class Tokenized:
    """A text in token ids.

    Attributes:
        beginning: the ids that the tokenizer puts before every text; only once, even if the text contains them too.
        text: the ids of the text itself.
    """

    beginning: tuple[int, ...]
    text: list[int]

    @property
    def token_ids(self) -> list[int]:
        """The ids that the model reads."""
        return [*self.beginning, *self.text]


def beginning_of(tokenizer: Any) -> tuple[int, ...]:
    """The token ids that a transformers tokenizer puts before every text; usually one or none."""
    whole = _encode(_PROBE, tokenizer, special=True)
    plain = _encode(_PROBE, tokenizer, special=False)
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start])
    # The text's own tokens may change after a beginning token. All special tokens at the start were then added.
    special = set(tokenizer.all_special_ids)
    count = next((place for place, token_id in enumerate(whole) if token_id not in special), 0)
    return tuple(whole[:count])


def tokenize(
    text: str, tokenizer: Any, *, begin: bool = True, vocabulary_size: int | None = None
) -> Tokenized:
    """Turn a text into token ids, with the beginning that its tokenizer adds.

    Args:
        text: the text; special tokens written in it are read as these tokens.
        tokenizer: a transformers tokenizer.
        begin: False leaves out the beginning. A beginning token written in the text is then part of the text.
        vocabulary_size: the number of embeddings of the model, if it is known.

    Raises:
        TextError: for a token without an embedding in the model; the message names it.
    """
    beginning = beginning_of(tokenizer) if begin else ()
    own = _encode(text, tokenizer, special=False)
    if beginning and tuple(own[: len(beginning)]) == beginning:
        own = own[len(beginning) :]
    if vocabulary_size is not None:
        _check_known([*beginning, *own], tokenizer, vocabulary_size)
    return Tokenized(beginning, own)


def named(token_ids: Sequence[int], tokenizer: Any) -> str:
    """The names of tokens in their tokenizer, such as ``<bos>``."""
    return "".join(str(name) for name in tokenizer.convert_ids_to_tokens(list(token_ids)))


def _check_known(token_ids: Sequence[int], tokenizer: Any, vocabulary_size: int) -> None:
    unknown = next((token_id for token_id in token_ids if not 0 <= token_id < vocabulary_size), None)
    if unknown is not None:
        raise TextError(
            f"The tokenizer has the token {named([unknown], tokenizer)[:60]!r}, number {unknown}, but the model has "
            f"embeddings for the numbers 0 to {vocabulary_size - 1} only. Restore the tokenizer that the model was "
            "trained with, or leave that token out of the text."
        )


def _encode(text: str, tokenizer: Any, *, special: bool) -> list[int]:
    # Not verbose: a text may be longer than the model reads at once, as it is cut into windows.
    ids: list[int] = tokenizer(text, add_special_tokens=special, verbose=False).input_ids
    return ids
