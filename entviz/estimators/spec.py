"""A metric with its options as text: ``knn(k=5)``, ``renyi(alpha=2)``.

    metric_of("knn(k=5)")          # NearestNeighbours(k=5)
    canonical("knn( k = 25 )")     # "knn": options with their default value are left out
    split("bucket,knn(k=5)")       # ("bucket", "knn(k=5)")

Specs name metrics in tables, links, reports and keys of stored results. There they are canonical, so that the same
measurement always has the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from entviz.errors import OptionError
from entviz.estimators.metric import Entropy, Metric
from entviz.estimators.registry import METRICS, default_metrics, metric, no_entropy

_COMMA = re.compile(r",(?![^()]*\))")  # commas that are not between parentheses
_SHOWN_CHARACTERS = 60


def metric_of(spec: str | Metric) -> Metric:
    """The metric that a spec describes. A metric object is returned as it is.

    Raises:
        OptionError: there is no metric of that name, the spec cannot be read, or an option's value is out of bounds.

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
    """The entropy that a spec describes; raises ``OptionError`` like :func:`metric_of`, and for other metrics."""
    if isinstance(spec, str) and base(spec) not in METRICS:
        raise no_entropy(spec)
    found = metric_of(spec)
    if not isinstance(found, Entropy):
        raise no_entropy(found.spec)
    return found


def canonical(spec: str | Metric) -> str:
    """The spec in the form used in keys and tables; raises ``OptionError`` like :func:`metric_of`."""
    return metric_of(spec).spec


def base(spec: str) -> str:
    """The metric's name, without options."""
    return spec.partition("(")[0].strip()


def is_entropy(spec: str) -> bool:
    """Whether a spec describes an entropy. False for a text that is not a spec."""
    kind = METRICS.get(base(spec))
    return kind is not None and issubclass(kind, Entropy)


def split(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated text; commas inside parentheses do not separate."""
    return tuple(word.strip() for word in _COMMA.split(text) if word.strip())


def with_defaults(specs: Iterable[str]) -> tuple[str, ...]:
    """The metrics that a page measures together if it needs ``specs``: these, and the default metrics of other names.

    Example:
        >>> from entviz.estimators.spec import with_defaults
        >>> with_defaults(["knn(k=5)"])
        ('bucket', 'knn(k=5)', 'renyi', 'cosine')
    """
    asked = [canonical(spec) for spec in specs]
    usual = [name for name in default_metrics() if name not in {base(spec) for spec in asked}]
    return specs_in_order([*usual, *asked])


def specs_in_order(specs: Sequence[str | Metric]) -> tuple[str, ...]:
    """Canonical specs without repetition in a fixed order, so that the same choice is measured only once."""
    usual = default_metrics()

    def place(spec: str) -> tuple[int, str]:
        name = base(spec)
        return (usual.index(name) if name in usual else len(usual), spec)

    return tuple(sorted({canonical(spec) for spec in specs}, key=place))


def _example(name: str, kind: type[Metric]) -> str:
    options = ", ".join(f"{each.name}={each.default:g}" for each in kind.options())
    return f"{name}({options})" if options else name
