"""What an estimator is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from entviz.errors import OptionError


class Estimator(Protocol):
    """What every estimator is: something with a name that turns hidden states into one entropy a window."""

    @property
    def name(self) -> str:
        """The key in ``ESTIMATORS``."""

    @property
    def title(self) -> str:
        """The name as a reader sees it."""

    @property
    def unit(self) -> str:
        """The unit of the entropy."""

    @property
    def source(self) -> str:
        """The paper, and where in it."""

    @property
    def minimum_tokens(self) -> int:
        """How many tokens a window needs."""

    @property
    def remedy(self) -> str:
        """What to do where windows have fewer."""

    def __call__(self, states: Tensor) -> Tensor:
        """Entropy of each window: (windows, tokens, width) -> float64 (windows,)."""


def check_tokens(estimator: Estimator, tokens: int) -> None:
    """Raise OptionError if windows of so many tokens are too short for an estimator."""
    if tokens < estimator.minimum_tokens:
        raise OptionError(
            f"The {estimator.name} estimator needs at least {estimator.minimum_tokens} tokens in a window; "
            f"these windows have {tokens}: {estimator.remedy}."
        )
