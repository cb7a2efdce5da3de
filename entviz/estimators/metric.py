"""The metric interface: a measurement of hidden states, and everything that the rest of entviz needs to know about it.

A metric is a frozen dataclass that extends :class:`Entropy` or :class:`Importance`: its fields are its options, its
class attributes describe it. To add a metric, write such a class in a file of its own and add it to ``METRICS`` in
``registry.py``. The command line, the pages, criteria, comparisons and reports list what the registry holds. The files
of metrics import torch inside their functions, because importing torch takes seconds and listing metrics should not.
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
    """A measurement of hidden states, with its options.

    Attributes:
        name: its name in the shell, in links and in keys.
        title: its name for a reader; ``word`` is its name in the middle of a sentence.
        about: a sentence for readers that explains it; ``{k}`` in it stands for the option ``k``.
        source: the paper that published it.
        unit: the unit of its values.
        kind: ``entropy`` of a site, or ``importance`` of a block.
        axis_title: the title of a chart axis of its values.
        optional: why it is measured only on request; empty if it is measured by default. The analysis that pages share
            holds all default metrics, measured in one forward pass.
        shown: whether the Explore page shows it at first.
        minimum_tokens: the number of tokens that a window needs; ``remedy`` says what to do if it has fewer.

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
        """The number of tokens that a window needs."""
        return 1

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Its options, in order."""
        return options_of(cls)

    @property
    def changed(self) -> dict[str, str]:
        """The options whose values are not the defaults, as text."""
        return {
            each.name: written(value)
            for each in self.options()
            if (value := getattr(self, each.name)) != each.default
        }

    @property
    def spec(self) -> str:
        """Its name with the options whose values are not the defaults: ``knn(k=5)``; see ``spec.py``."""
        inner = ",".join(f"{name}={value}" for name, value in self.changed.items())
        return f"{self.name}({inner})" if inner else self.name

    @property
    def description(self) -> str:
        """``about`` with the values of the options, and the source."""
        values = {each.name: written(getattr(self, each.name)) for each in self.options()}
        return f"{self.about.format(**values)} {self.source}."

    def titled(self, noun: str | None = None, *, sentence: bool = False) -> str:
        """Its title with the options whose values are not the defaults: ``KNN, k = 5``, or with a noun, which may be
        empty, ``KNN entropy (k = 5)``. ``sentence`` gives the form for the middle of a sentence.
        """
        title = " ".join(filter(None, (self.word if sentence else self.title, noun)))
        options = ", ".join(f"{name} = {value}" for name, value in self.changed.items())
        if not options:
            return title
        return f"{title}, {options}" if noun is None else f"{title} ({options})"

    def check_tokens(self, tokens: int) -> None:
        """Raise OptionError if windows of ``tokens`` tokens are too short."""
        if tokens < self.minimum_tokens:
            raise OptionError(
                f"The {self.spec} estimator needs at least {self.minimum_tokens} tokens in a window; "
                f"these windows have {tokens}: {self.remedy}."
            )


@dataclass(frozen=True)
class Entropy(Metric):
    """A metric of the hidden states at one site. A block's value is the increase from its input to its output."""

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
            OptionError: the states have the wrong number of dimensions or type, or too few tokens.
        """


@dataclass(frozen=True)
class Importance(Metric):
    """A metric of how much a block changes its input: the lower the value, the smaller the change.

    Attributes:
        complement: the name of 1 minus the value; empty if that has no meaning.
    """

    kind = "importance"
    complement: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, before: Tensor, middle: Tensor | None, after: Tensor) -> dict[str, Tensor]:
        """Importance of a layer and of its two blocks.

        Args:
            before: hidden states before the layer, shape (windows, tokens, width), any floating-point type.
            middle: hidden states between its attention and its MLP, of the same shape; or None.
            after: hidden states after it, of the same shape.

        Returns:
            Importance of ``attn``, ``mlp`` and ``layer``, or only of ``layer`` if ``middle`` is None; each float64
            (windows,). A window that holds NaN or an infinity has importance NaN.

        Raises:
            OptionError: the states have the wrong number of dimensions or type, or differ in shape.
        """
