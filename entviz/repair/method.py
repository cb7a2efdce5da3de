"""The interface of a repair: where it acts, what it fits there by least squares, and the patch that comes of it.

    class Refit(Method): ...

A method is a frozen dataclass. To add one, write such a class in a file of its own and add it to ``METHODS`` in
``registry.py``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from entviz.repair.places import Place, Way

if TYPE_CHECKING:
    from torch import Tensor

    from entviz.decoder.patches import Patch


@dataclass(frozen=True, eq=False)
class Seen:
    """What passes a place, of some tokens of calibration text.

    Attributes:
        inputs: (tokens, inputs) what the output projection of the place's block reads; no columns if the method has no
            use for it.
        weight: (width, inputs) that projection.
        before: (tokens, width) the stream at the start, of the model as it is repaired so far.
        after: (tokens, width) that stream at the end, without a change at this place.
        target: (tokens, width) the dense model's stream at the end.
    """

    inputs: Tensor
    weight: Tensor
    before: Tensor
    after: Tensor
    target: Tensor


@dataclass(frozen=True)
class Method(ABC):
    """A repair.

    Attributes:
        name: its name in the shell.
        title: its name for a reader.
        purpose: what it does, for a reader who chooses: part of a sentence.
        source: where it was published, with the equation, and what is different here.
        projects: whether it changes the output projection of a kept block, and so needs one.
        intercept: whether it fits a constant besides.
        weighted: whether each token's error counts in proportion to the size of its hidden state: its square is
            divided by the mean square of the dense one. Otherwise a few tokens with massive activations decide.
        ridge: whether coefficients are kept small, by as much as is best on calibration windows that were held out.
        window_length: how many tokens of calibration text go through the model together.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    purpose: ClassVar[str]
    source: ClassVar[str]
    projects: ClassVar[bool] = False
    intercept: ClassVar[bool] = False
    weighted: ClassVar[bool] = True
    ridge: ClassVar[bool] = True
    window_length: ClassVar[int] = 256

    @classmethod
    def unknowns(cls, width: int, inner: int) -> int:
        """How many there are for each output: of a model of this width, whose widest projection reads ``inner``."""
        return width

    @classmethod
    def windows(cls, width: int, inner: int) -> int:
        """How many calibration windows are usual: 16, or two and a half tokens for each unknown if that is more."""
        return max(16, math.ceil(2.5 * cls.unknowns(width, inner) / cls.window_length))

    @abstractmethod
    def places(self, way: Way) -> list[Place]:
        """Where it acts, by depth."""

    @abstractmethod
    def features(self, seen: Seen) -> Tensor:
        """(tokens, inputs) what the change at a place is a linear function of."""

    def errors(self, seen: Seen) -> Tensor:
        """(tokens, outputs) what the change should be."""
        return seen.target - seen.after

    @abstractmethod
    def patch(self, place: Place, matrix: Tensor, bias: Tensor, projection: Projected) -> Patch:
        """The change at a place: features times ``matrix`` (inputs, width), plus ``bias`` (width,).

        Without an intercept ``bias`` is empty; unless the method ``projects``, so is ``projection``.
        """


@dataclass(frozen=True, eq=False)
class Projected:
    """The output projection of a kept block: its path inside the layer, weight (width, inputs) and bias (width,)."""

    path: str
    weight: Tensor
    bias: Tensor | None = None
