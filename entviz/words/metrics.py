"""Metrics' names for a reader, from their specs.

metric_title("knn(k=5)")               # "KNN, k = 5"
metric_title("knn(k=5)", "entropy")    # "KNN entropy (k = 5)"
"""

from entviz.errors import OptionError
from entviz.estimators import METRICS, base, metric_of


def metric_title(spec: str, noun: str | None = None, *, sentence: bool = False) -> str:
    """A metric's title with its options, as given by :meth:`entviz.estimators.Metric.titled`.

    A stored result can have a metric that this version does not know: its title is then its spec.
    """
    try:
        return metric_of(spec).titled(noun, sentence=sentence)
    except OptionError:
        return f"{spec} {noun}" if noun else spec


def unit_of(spec: str) -> str:
    """The unit of a metric's values; empty for an unknown metric."""
    kind = METRICS.get(base(spec))
    return kind.unit if kind else ""


def axis_title(spec: str) -> str:
    """The axis title of a chart of a metric's values."""
    kind = METRICS.get(base(spec))
    return kind.axis_title if kind else spec


def complement_title(spec: str) -> str:
    """The name of 1 minus a metric's value; empty if that has no meaning."""
    kind = METRICS.get(base(spec))
    return getattr(kind, "complement", "")
