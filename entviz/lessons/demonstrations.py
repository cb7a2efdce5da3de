"""Each estimator's result on a small sample, with the parts that a picture needs.

::

    shown = demonstrations.neighbours(samples.plane(60, seed=1), k=5)
    shown.radii, shown.entropy
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from entviz.estimators import cosine_importance, estimator
from entviz.estimators.knn import kth_distance
from entviz.estimators.renyi import SMALLEST_SIMILARITY, standardized_by_torch


@dataclass(frozen=True, eq=False)
class Histogram:
    """Bucket entropy of n values of one dimension in B buckets.

    ``values`` (n,), ``edges`` (B+1,), ``counts`` (B,); ``entropy`` and ``ceiling``, the most that B buckets can
    give, in nats.
    """

    values: np.ndarray
    edges: np.ndarray
    counts: np.ndarray
    entropy: float
    ceiling: float


def histogram(values: np.ndarray, buckets: int) -> Histogram:
    """Count ``values``, float32 (n,), in equal-width buckets from the smallest to the largest."""
    low, high = values.min(), values.max()
    # In float32, like the estimator, so that the bars and the entropy never disagree about a value on an edge.
    scale = np.float32(buckets) / (high - low) if high > low else np.float32(0)
    index = np.clip(((values - low) * scale).astype(np.int64), 0, buckets - 1)
    return Histogram(
        values=values,
        edges=np.linspace(low, high, buckets + 1),
        counts=np.bincount(index, minlength=buckets),
        entropy=float(estimator("bucket", buckets=buckets)(_window(values[:, None]))),
        ceiling=math.log(buckets),
    )


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Nearest-neighbour entropy of n points of two dimensions.

    ``points`` (n, 2); ``radii`` (n,), each point's distance to its k-th nearest other point; ``kth`` (n,), the index of
    that point; ``entropy`` in nats.
    """

    points: np.ndarray
    k: int
    radii: np.ndarray
    kth: np.ndarray
    entropy: float


def neighbours(points: np.ndarray, k: int) -> Neighbours:
    """Measure ``points``, float32 (n, 2), by the distance to the k-th nearest other one, k < n."""
    window = _window(points)
    order = np.argsort(torch.cdist(window, window)[0].numpy(), axis=1, kind="stable")
    itself = np.arange(len(points))[:, None]
    others = order[order != itself].reshape(len(points), -1)
    return Neighbours(
        points=points,
        k=k,
        radii=kth_distance(window, k)[0].numpy(),
        kth=others[:, k - 1],
        entropy=float(estimator("knn", k=k)(window)),
    )


@dataclass(frozen=True, eq=False)
class Similarities:
    """Rényi entropy of n points of two dimensions.

    ``points`` (n, 2) as given; ``distances`` (n, n) between the standardized points, ``scale`` their median;
    ``kernel`` (n, n) the similarities K from 0 to 1; ``powers`` (n, n) K^(alpha-1), from which the entropy is computed;
    ``entropy`` in nats.
    """

    points: np.ndarray
    alpha: float
    distances: np.ndarray
    scale: float
    kernel: np.ndarray
    powers: np.ndarray
    entropy: float


def similarities(points: np.ndarray, alpha: float) -> Similarities:
    """Compare all pairs of ``points``, float32 (n, 2). ``alpha``, the order, must lie above 1."""
    window = _window(points)
    standard = standardized_by_torch(window)
    distances = torch.cdist(standard, standard, compute_mode="donot_use_mm_for_euclid_dist")[0].double()
    scale = float(distances.flatten().median())
    kernel = torch.exp(-distances.square() / (2 * scale**2)).clamp(min=SMALLEST_SIMILARITY).numpy()
    return Similarities(
        points=points,
        alpha=alpha,
        distances=distances.numpy(),
        scale=scale,
        kernel=kernel,
        powers=kernel ** (alpha - 1),
        entropy=float(estimator("renyi", alpha=alpha)(window)),
    )


@dataclass(frozen=True, eq=False)
class Turn:
    """How far a block turns one hidden state of two dimensions.

    ``before``, ``added`` and their sum ``after``, each (2,); ``angle`` in degrees between before and after, NaN if one
    of them has no direction; ``importance``, 1 - cosine, from 0 to 2.
    """

    before: np.ndarray
    added: np.ndarray
    after: np.ndarray
    angle: float
    importance: float


def turn(direction: float, length: float) -> Turn:
    """Add a vector of ``length`` at ``direction`` degrees to the vector (1, 0)."""
    before = np.array([1.0, 0.0])
    added = length * np.array([math.cos(math.radians(direction)), math.sin(math.radians(direction))])
    after = before + added
    size = float(np.hypot(*after))
    # If the two cancel, rounding leaves about 1e-16.
    angle = math.degrees(math.atan2(abs(after[1]), after[0])) if size > 1e-9 else math.nan
    after = after if size > 1e-9 else np.zeros(2)
    importance = float(cosine_importance(_window(before[None]), _window(after[None])))
    return Turn(before, added, after, angle, importance)


def _window(points: np.ndarray) -> torch.Tensor:
    """Points (n, d) as one window of hidden states, float32 (1, n, d)."""
    return torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)).unsqueeze(0)
