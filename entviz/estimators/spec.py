"""A metric with its options as a piece of text: ``knn(k=5)``, ``renyi(alpha=2)``.

    metric_of("knn(k=5)")          # NearestNeighbours(k=5)
    canonical("knn( k = 25 )")     # "knn": what has its usual value is left out
    split("bucket,knn(k=5)")       # ("bucket", "knn(k=5)")

A spec stands wherever a metric's name does: in tables, links, reports and keys of stored results. There it is
canonical, so that the same measurement has one key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from entviz.errors import OptionError
from entviz.estimators.metric import Entropy, Metric
from entviz.estimators.registry import METRICS, default_metrics, metric, no_entropy

_COMMA = re.compile(r",(?![^()]*\))")  # not those between parentheses
_SHOWN_CHARACTERS = 60


def metric_of(spec: str | Metric) -> Metric:
    """The metric that a spec describes; a metric describes itself.

    Raises:
        OptionError: there is no such metric, the spec cannot be read, or an option's value cannot be used.

    Example:
        >>> from entviz.estimators.spec import metric_of
        >>> metric_of("knn(k=5)").titled("entropy")
        'KNN entropy (k = 5)'
    """
    if isinstance(spec, Metric):
        return spec
    name, opened, rest = spec.strip().partition("(")
    name, inner = name.strip(), rest.removesuffix(")")
    kind = METRICS[name]
    if not opened and not rest and ")" not in name:
        return kind()
    if not rest.endswith(")") or "(" in inner or ")" in inner:
        raise OptionError(
            f"'{spec[:_SHOWN_CHARACTERS]}' has an unbalanced parenthesis: write {_example(name, kind)}."
        )
    by_name = {each.name: each for each in kind.options()}
    options: dict[str, int | float | str] = {}
    for part in inner.split(",") if inner.strip() else ():
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or option in options:
            why = "twice" if equals else "without a value"
            raise OptionError(
                f"'{spec[:_SHOWN_CHARACTERS]}' has '{option[:40]}' {why}: write {_example(name, kind)}."
            )
        options[option] = by_name[option].read(value) if option in by_name else value
    return metric(name, **options)


def entropy_of(spec: str | Metric) -> Entropy:
    """The entropy that a spec describes; raises ``OptionError`` as :func:`metric_of` does, and for other metrics."""
    if isinstance(spec, str) and base(spec) not in METRICS:
        raise no_entropy(spec)
    found = metric_of(spec)
    if not isinstance(found, Entropy):
        raise no_entropy(found.spec)
    return found


def canonical(spec: str | Metric) -> str:
    """The same spec as it stands in keys and tables; raises as :func:`metric_of` does."""
    return metric_of(spec).spec


def base(spec: str) -> str:
    """The metric's name, without options."""
    return spec.partition("(")[0].strip()


def is_entropy(spec: str) -> bool:
    """Whether a spec is an entropy's. False for what is no metric at all."""
    kind = METRICS.get(base(spec))
    return kind is not None and issubclass(kind, Entropy)


def split(text: str) -> tuple[str, ...]:
    """Comma-separated words; commas between parentheses separate nothing."""
    return tuple(word.strip() for word in _COMMA.split(text) if word.strip())


def with_defaults(specs: Iterable[str]) -> tuple[str, ...]:
    """The metrics that a page measures together where it needs these: the usual ones, these in place of the plain.

    Example:
        >>> from entviz.estimators.spec import with_defaults
        >>> with_defaults(["knn(k=5)"])
        ('bucket', 'knn(k=5)', 'renyi', 'cosine')
    """
    asked = [canonical(spec) for spec in specs]
    usual = [name for name in default_metrics() if name not in {base(spec) for spec in asked}]
    return specs_in_order([*usual, *asked])


def specs_in_order(specs: Sequence[str | Metric]) -> tuple[str, ...]:
    """Canonical specs without repetition and in one order, so that the same choice is the same work."""
    usual = default_metrics()

    def place(spec: str) -> tuple[int, str]:
        name = base(spec)
        return (usual.index(name) if name in usual else len(usual), spec)

    return tuple(sorted({canonical(spec) for spec in specs}, key=place))


def _example(name: str, kind: type[Metric]) -> str:
    options = ", ".join(f"{each.name}={each.default:g}" for each in kind.options())
    return f"{name}({options})" if options else name
