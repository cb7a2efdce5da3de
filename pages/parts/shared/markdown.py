"""Text that people wrote, made safe to stand inside Markdown that we wrote."""

import re
from typing import Final

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])")


def escape(text: str) -> str:
    """The same text with every sign that Markdown would act on escaped, and line breaks turned into spaces.

    Without this a model's name in a shared link could draw a picture or a link of its own on the page.
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
