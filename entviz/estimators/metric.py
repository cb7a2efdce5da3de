"""What a metric is: something that is measured of hidden states, with all that others need to know of it.

A metric is a frozen dataclass that extends :class:`Entropy` or :class:`Importance`: its fields are its options, its
class attributes describe it. To add one, write such a class in a file of its own and put it into ``METRICS`` of
``registry.py``: the command line, the pages, criteria, comparisons and reports list what is there. Files of metrics
import torch inside their functions, so that listing metrics does not take the seconds that importing torch takes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from entviz.errors import OptionError
from entviz.estimators.option import Option, options_of, written

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Metric(ABC):
    """Something that is measured of hidden states, with its options.

    Attributes:
        name: as it is written.
        title: its name for a reader; ``word`` is the same in the middle of a sentence.
        about: a sentence for people on what it says; ``{k}`` in it stands for the option ``k``.
        source: where it was published.
        unit: of its values.
        kind: ``entropy`` of a site, or ``importance`` of a block.
        axis_title: what stands at the axis of a chart of its values.
        optional: why it is measured only where it is asked for; empty where it is measured by default, along with the
            others in one forward pass, which is what the analysis that pages share holds.
        shown: whether the Explore page shows it at first.
        minimum_tokens: how many tokens a window needs; ``remedy`` is what to do where it has fewer.

    Raises:
        OptionError: for a value of an option that is out of bounds.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    word: ClassVar[str]
    about: ClassVar[str]
    source: ClassVar[str]
    unit: ClassVar[str]
    kind: ClassVar[Literal["entropy", "importance"]]
    axis_title: ClassVar[str]
    optional: ClassVar[str] = ""
    shown: ClassVar[bool] = True
    remedy: ClassVar[str] = "use longer windows"

    def __post_init__(self) -> None:
        for each in self.options():
            each.check(getattr(self, each.name))

    @property
    def minimum_tokens(self) -> int:
        """How many tokens a window needs."""
        return 1

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Its options, in order."""
        return options_of(cls)

    @property
    def changed(self) -> dict[str, str]:
        """The options that have not their usual value, as they are written."""
        return {
            each.name: written(value)
            for each in self.options()
            if (value := getattr(self, each.name)) != each.default
        }

    @property
    def spec(self) -> str:
        """Its name with the options that have not their usual value: ``knn(k=5)``; see ``spec.py``."""
        inner = ",".join(f"{name}={value}" for name, value in self.changed.items())
        return f"{self.name}({inner})" if inner else self.name

    @property
    def description(self) -> str:
        """``about`` with the options as they are, and the source."""
        values = {each.name: written(getattr(self, each.name)) for each in self.options()}
        return f"{self.about.format(**values)} {self.source}."

    def titled(self, noun: str | None = None, *, sentence: bool = False) -> str:
        """Its title with the options that have not their usual value: ``KNN, k = 5``; with a noun, which may be empty,
        ``KNN entropy (k = 5)``. ``sentence`` says that it stands in the middle of one.
        """
        title = " ".join(filter(None, (self.word if sentence else self.title, noun)))
        options = ", ".join(f"{name} = {value}" for name, value in self.changed.items())
        if not options:
            return title
        return f"{title}, {options}" if noun is None else f"{title} ({options})"

    def check_tokens(self, tokens: int) -> None:
        """Raise OptionError if windows of so many tokens are too short."""
        if tokens < self.minimum_tokens:
            raise OptionError(
                f"The {self.spec} estimator needs at least {self.minimum_tokens} tokens in a window; "
                f"these windows have {tokens}: {self.remedy}."
            )


@dataclass(frozen=True)
class Entropy(Metric):
    """A metric of the hidden states at one site. Of a block, the increase from the site before it to the one after."""

    kind = "entropy"
    unit = "nats"
    axis_title = "Entropy (nats)"

    @abstractmethod
    def __call__(self, states: Tensor) -> Tensor:
        """Entropy of each window.

        Args:
            states: shape (windows, tokens, width), any floating-point type.

        Returns:
            float64, shape (windows,), in nats. A window that holds NaN or an infinity has entropy NaN.

        Raises:
            OptionError: the states are not such a tensor, or too short.
        """


@dataclass(frozen=True)
class Importance(Metric):
    """A metric of what a block does to the hidden states that enter it: the lower, the less.

    Attributes:
        complement: what 1 minus it is; empty where that means nothing.
    """

    kind = "importance"
    complement: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, before: Tensor, middle: Tensor | None, after: Tensor) -> dict[str, Tensor]:
        """Importance of a layer and of its two blocks.

        Args:
            before: hidden states before the layer, shape (windows, tokens, width), any floating-point type.
            middle: hidden states between its attention and its MLP, of the same shape; None to do without.
            after: hidden states after it, of the same shape.

        Returns:
            Importance of ``attn``, ``mlp`` and ``layer``, of ``layer`` alone without ``middle``; each float64
            (windows,). A window that holds NaN or an infinity has importance NaN.

        Raises:
            OptionError: the states are not such tensors, or differ in shape.
        """
