"""The message of a library's error, as part of a sentence."""

import re

_MOST_LETTERS = 200
# Lines that only introduce those below, give a place in the code, or are drawn.
_SAYS_NOTHING = re.compile(r".*:|Traceback \(most recent call last\).*|File \".*\", line \d+.*|[-=~^*|+\s]*")
_LIST_ITEM = re.compile(r"[-*•]\s|\(?\d+[.)]\s")
_KIND = re.compile(r"(\w+\.)*\w*(Error|Exception): ")


def telling_line(error: BaseException) -> str:
    """Return the line of an error's message that says what is wrong, short enough for a sentence.

    Many libraries begin with a line that ends in a colon and only says that something is wrong; the reason follows
    below. If a message quotes a traceback, its last line has the reason.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if not _SAYS_NOTHING.fullmatch(line)]
    if not telling:
        telling = [line for line in lines if line] or [type(error).__name__]
    if _LIST_ITEM.match(telling[0]):  # one of several causes, none of which is enough alone
        announced = [line for line in lines if line]
        telling = [announced[0].rstrip(":")]
    chosen = telling[-1] if any(line.startswith("Traceback") for line in lines) else telling[0]
    return _KIND.sub("", chosen, count=1)[:_MOST_LETTERS].rstrip(".:,; ")
