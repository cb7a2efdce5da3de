"""The text of each token, so that a text can be shown token by token.

spell(loaded.tokenizer, token_ids)      # ["The", " cap", "ital"]; joined, the text
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
_LONGEST = 8  # largest number of tokens that one character is spread over


def spell(tokenizer: Any, token_ids: Sequence[int]) -> list[str]:
    """The text of each token in its context.

    A tokenizer can decode a token differently alone than after another token (spaces), and can split one character over
    several tokens. A token's text is therefore the text that it adds to the decoded text. If a character takes several
    tokens, the last one has the character and the others have an empty text. Special tokens are written out.
    """
    pieces: list[str] = []
    start = read = 0  # the tokens from start to read come before those being spelled
    for end in range(1, len(token_ids) + 1):
        before = _decode(tokenizer, token_ids[start:read])
        now = _decode(tokenizer, token_ids[start:end])
        if now.endswith(_INCOMPLETE) and end - read < _LONGEST and end < len(token_ids):
            pieces.append("")
            continue
        pieces.append(now[len(before) :] if now.startswith(before) else now)
        start, read = read, end
    return pieces


def _decode(tokenizer: Any, token_ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(
        list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return text
