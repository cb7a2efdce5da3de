"""A text as part of a link: packed, and bounded both ways.

::

    value = packed(text)          # TOO_LONG where a link could not carry it
    text = unpacked(value)        # ValueError, with a sentence, where it is damaged
"""

import base64
import binascii
import zlib
from typing import Final

CHARACTERS: Final = 1500  # a longer text would make links that mail programs and chats cut off
TOO_LONG: Final = "own"  # stands for a text that the link could not carry
_PACKED: Final = "~"  # starts a text that the link itself carries; no passage's name does


def packed(text: str) -> str:
    """The text as a link carries it."""
    if len(text) > CHARACTERS:
        return TOO_LONG
    return _PACKED + base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def is_packed(value: str) -> bool:
    """Whether a link's value is a text that it carries itself."""
    return value.startswith(_PACKED)


def unpacked(value: str) -> str:
    """The text that a link carries. Raises ``ValueError``, with a sentence, if it is damaged or too long."""
    try:
        packed = base64.b64decode(value[1:] + "=" * (-len(value[1:]) % 4), altchars=b"-_", validate=True)
        # Bounded while it unpacks: a few hundred bytes can stand for gigabytes.
        text = zlib.decompressobj().decompress(packed, 4 * CHARACTERS + 1).decode()
    except (binascii.Error, zlib.error, ValueError):
        raise ValueError("The text in the link is damaged, perhaps cut off. Copy the link again.") from None
    if len(text) > CHARACTERS:
        raise ValueError(f"The text in the link is longer than {CHARACTERS:,} characters and was left out.")
    return text
