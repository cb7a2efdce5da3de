"""The definitions written out in float64, one window and one token at a time: slow, and independent of entviz."""

import math

import numpy as np


def distances(states: np.ndarray) -> np.ndarray:
    x = states.astype(np.float64)
    return np.stack([np.sqrt(((x - token) ** 2).sum(axis=1)) for token in x])


def bucket(states: np.ndarray, buckets: int = 20) -> float:
    entropy = 0.0
    for column in states.astype(np.float64).T:
        edges = column.min() + (column.max() - column.min()) / buckets * np.arange(buckets)
        numbers = [int((edges <= value).sum()) - 1 for value in column]
        shares = np.bincount(numbers) / len(column) if column.max() > column.min() else np.ones(1)
        entropy -= sum(p * math.log(p) for p in shares if p > 0)
    return entropy


def bucket_slack(states: np.ndarray, buckets: int = 20) -> float:
    """How far float32 may be off: each value within rounding of an edge may fall on either side of it."""
    x = states.astype(np.float64)
    extent = x.max(axis=0) - x.min(axis=0)
    position = (x - x.min(axis=0)) / np.where(extent > 0, extent, 1) * buckets
    near = np.abs(position - position.round()) < 1e-4
    doubtful = near & (position > 0.5) & (position < buckets - 0.5)
    return float(doubtful.sum()) * 2 * (1 + math.log(len(x))) / len(x) + 1e-5 * x.shape[1]


def knn(states: np.ndarray, k: int = 25) -> float:
    n, d = states.shape
    every = distances(states)
    radii = [np.sort(np.delete(every[i], i))[k - 1] for i in range(n)]
    return (
        d * float(np.mean(np.log(np.array(radii) + 1e-10)))
        + d / 2 * math.log(math.pi)
        - math.lgamma(d / 2 + 1)
        + math.log(n)
        - math.log(k)
    )


def renyi(states: np.ndarray, alpha: float = 4) -> float:
    x = states.astype(np.float64)
    # As float32 knows them: a column that is constant there must be constant here.
    deviation = x.std(axis=0, ddof=1) * (x.max(axis=0) > x.min(axis=0))
    centred = np.where(deviation > 0, x - x.mean(axis=0), 0)
    every = distances(centred / (deviation + 1e-10))
    sigma = np.sort(every.flatten())[(every.size - 1) // 2]
    similarity = np.maximum(np.exp(-(every**2) / (2 * max(sigma**2, 1e-38))), 1e-10)
    if alpha == 1:
        p = similarity / similarity.sum(axis=1, keepdims=True)
        return float(-(p * np.log(p)).sum() / len(p))
    return float(np.log((similarity ** (alpha - 1)).mean()) / (1 - alpha))


def matrix(states: np.ndarray) -> float:
    values = np.linalg.svd(states.astype(np.float64), compute_uv=False) ** 2
    shares = values / values.sum()
    return float(-sum(p * math.log(p) for p in shares if p > 1e-300))


def cosine_importance(before: np.ndarray, after: np.ndarray) -> float:
    cosines = [
        float(x @ y) / (math.sqrt(x @ x) * math.sqrt(y @ y))
        for x, y in zip(before.astype(np.float64), after.astype(np.float64), strict=True)
    ]
    return 1 - float(np.mean(cosines))
