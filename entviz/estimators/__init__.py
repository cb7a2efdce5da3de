"""Entropy of hidden states: one estimator a file, one registry.

    from entviz.estimators import ESTIMATORS, Measure, cosine_importance, estimator

    knn = estimator("knn", k=5)
    knn(states)                              # (windows, tokens, width) -> float64 (windows,), in nats
    Measure(["bucket", "knn"]).site(states)  # {"bucket": ..., "knn": ...}
    cosine_importance(before, after)         # float64 (windows,)

A new estimator is a file beside these with one frozen dataclass that meets ``Estimator``, and its line in
``ESTIMATORS``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from entviz.errors import OptionError
from entviz.estimators.bucket import Bucket
from entviz.estimators.cosine import block_importances, cosine_importance
from entviz.estimators.estimator import Estimator, check_tokens
from entviz.estimators.knn import NearestNeighbours
from entviz.estimators.matrix import MatrixEntropy, effective_rank
from entviz.estimators.renyi import Renyi

__all__ = [
    "ESTIMATORS",
    "Estimator",
    "Measure",
    "block_importances",
    "cosine_importance",
    "effective_rank",
    "estimator",
]


ESTIMATORS: Mapping[str, Callable[..., Estimator]] = MappingProxyType(
    {"bucket": Bucket, "knn": NearestNeighbours, "renyi": Renyi, "matrix": MatrixEntropy}
)


def estimator(name: str, **options: Any) -> Estimator:
    """Make an estimator by name.

    Args:
        name: a key of ``ESTIMATORS``.
        options: the estimator's options (``buckets`` of bucket, ``k`` of knn, ``alpha`` of renyi).

    Raises:
        OptionError: there is no such estimator, it has no such option, or the option's value cannot be used.

    Example:
        >>> from entviz.estimators import estimator
        >>> estimator("bucket", buckets=10).title
        'Bucket'
    """
    if name not in ESTIMATORS:
        raise OptionError(f"There is no estimator {name!r}; choose from {', '.join(ESTIMATORS)}.")
    factory: Any = ESTIMATORS[name]  # a dataclass, which the type of what the registry holds cannot say
    known = [field.name for field in dataclasses.fields(factory)]
    unknown = [option for option in options if option not in known]
    if unknown:
        has = f"its options are {', '.join(known)}" if known else "it has none"
        raise OptionError(f"The {name} estimator has no option {unknown[0]!r}; {has}.")
    return factory(**options)


class Measure:
    """Several estimators over the same hidden states.

    Args:
        names: estimators, by name.
        options: options by estimator name, such as ``{"knn": {"k": 5}}``; those of estimators that are not in
            ``names`` are ignored.

    Raises:
        OptionError: as ``estimator`` does.

    Example:
        >>> import torch
        >>> from entviz.estimators import Measure
        >>> measure = Measure(["bucket", "knn"], {"knn": {"k": 3}})
        >>> sorted(measure.site(torch.randn(2, 16, 8)))
        ['bucket', 'knn']
    """

    def __init__(self, names: Iterable[str], options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        options = options or {}
        self.estimators: tuple[Estimator, ...] = tuple(
            estimator(name, **options.get(name, {})) for name in dict.fromkeys(names)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The estimators' names, in the order given, each once."""
        return tuple(each.name for each in self.estimators)

    def check_tokens(self, tokens: int) -> None:
        """Raise OptionError, as the estimators would, if windows of so many tokens are too short for one of them."""
        for each in self.estimators:
            check_tokens(each, tokens)

    def site(self, states: Tensor) -> dict[str, Tensor]:
        """Every estimator's entropies at one site.

        Args:
            states: shape (windows, tokens, width), any floating-point type.

        Returns:
            Per estimator name, float64 of shape (windows,), in nats.

        Raises:
            OptionError: the states are not such a tensor, or too short for one of the estimators.
        """
        return {each.name: each(states) for each in self.estimators}

    def cosine(self, before: Tensor, middle: Tensor | None, after: Tensor) -> dict[str, Tensor]:
        """Cosine importance of a layer and its blocks, by kind: see ``block_importances``."""
        return block_importances(before, middle, after)
