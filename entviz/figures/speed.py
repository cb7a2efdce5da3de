"""A speed beside the dense model's, for the screen: a ratio with its spread and what it rests on.

    in_words(Speed(1.12, 1.05, 1.18, 15))    # "1.12 × as fast as dense (middle half of 15 rounds: 1.05 to 1.18)"

Only what was timed in turn with the dense model, in one piece of work, has a speed: see :mod:`entviz.timing`.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entviz.timing import Speed

ABOUT: Final = (
    "How many times as fast as the dense model it reads a window of the text and predicts what follows: the median "
    "over rounds in which the two take turns on this machine. The range is that of the middle half of the rounds."
)


def in_words(speed: "Speed") -> str:
    """The ratio, and how far the rounds lie apart."""
    return (
        f"{speed.times:.2f} × as fast as dense (middle half of {speed.repeats} rounds: "
        f"{speed.low:.2f} to {speed.high:.2f})"
    )
