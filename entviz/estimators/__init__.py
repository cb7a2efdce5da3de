"""Metrics of hidden states: one file for each metric, one registry.

    from entviz.estimators import METRICS, cosine_importance, estimator, metric_of

    knn = estimator("knn", k=5)
    knn(states)                              # (windows, tokens, width) -> float64 (windows,), in nats
    metric_of("knn(k=5)") == knn             # a metric with its options as text: spec.py
    METRICS["knn"].options()                 # its options
    cosine_importance(before, after)         # float64 (windows,)

A new metric is a file in this package with one frozen dataclass that extends ``Entropy`` or ``Importance``, and a line
in ``METRICS`` in ``registry.py``. Importing the package does not import torch.
"""

from entviz.estimators.cosine import block_importances, cosine_importance
from entviz.estimators.matrix import effective_rank
from entviz.estimators.metric import Entropy, Importance, Metric
from entviz.estimators.registry import (
    METRICS,
    default_entropies,
    default_metrics,
    entropies,
    estimator,
)
from entviz.estimators.spec import (
    base,
    canonical,
    entropy_of,
    is_entropy,
    metric_of,
    specs_in_order,
    split,
    with_defaults,
)

__all__ = [
    "METRICS",
    "Entropy",
    "Importance",
    "Metric",
    "base",
    "block_importances",
    "canonical",
    "cosine_importance",
    "default_entropies",
    "default_metrics",
    "effective_rank",
    "entropies",
    "entropy_of",
    "estimator",
    "is_entropy",
    "metric_of",
    "specs_in_order",
    "split",
    "with_defaults",
]
