"""The registry of metrics by name. A new metric adds one line here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from entviz.errors import OptionError
from entviz.estimators.bucket import Bucket
from entviz.estimators.cosine import CosineImportance
from entviz.estimators.knn import NearestNeighbours
from entviz.estimators.matrix import MatrixEntropy
from entviz.estimators.metric import Entropy, Metric
from entviz.estimators.renyi import Renyi
from entviz.registry import Registry

METRICS: Registry[type[Metric]] = Registry(
    "a metric", (Bucket, NearestNeighbours, Renyi, MatrixEntropy, CosineImportance)
)


def entropies() -> tuple[str, ...]:
    """The names of the metrics that are entropies."""
    return tuple(name for name, kind in METRICS.items() if issubclass(kind, Entropy))


def default_metrics() -> tuple[str, ...]:
    """The names of the metrics that are measured by default; pages share an analysis of these."""
    return tuple(name for name, kind in METRICS.items() if not kind.optional)


def default_entropies() -> tuple[str, ...]:
    """The names of the default metrics that are entropies."""
    return tuple(name for name in default_metrics() if issubclass(METRICS[name], Entropy))


def metric(name: str, **options: Any) -> Metric:
    """The metric of that name with its options.

    Raises:
        OptionError: there is no metric of that name, it has no such option, or the option's value is out of bounds.
    """
    kind = METRICS[name]
    known = [each.name for each in kind.options()]
    for option in options:
        if option not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise OptionError(f"The {name} estimator has no option {option[:40]!r}; {has}.")
    return kind(**options)


def estimator(name: str, **options: Any) -> Entropy:
    """The entropy of that name with its options (``buckets`` of bucket, ``k`` of knn, ``alpha`` of renyi).

    Raises:
        OptionError: for the reasons given for :func:`metric`, and for a metric that is not an entropy.

    Example:
        >>> from entviz.estimators import estimator
        >>> estimator("bucket", buckets=10).title
        'Bucket'
    """
    found = metric(name, **options) if name in METRICS else None
    if not isinstance(found, Entropy):
        raise no_entropy(name)
    return found


def no_entropy(name: str, choices: Iterable[str] | None = None) -> OptionError:
    """The error for a name that is not the name of an entropy."""
    names = ", ".join(entropies() if choices is None else choices)
    return OptionError(f"'{name[:60]}' is not an entropy: choose from {names}.")
