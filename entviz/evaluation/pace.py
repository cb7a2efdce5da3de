"""How fast a model runs here and now: the parts of a pass, timed on a few layers in a second or two.

    found = pace(loaded, windows)
    found.seconds(of_many(prune_sets, loaded.layers, len(windows)))

What a machine does beside this changes from minute to minute, so that what an earlier result took tells little. This is
timed again whenever someone wants to know how long something will take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from entviz import kernels
from entviz.decoder.batching import windows_per_batch
from entviz.estimators import Entropy, Importance, default_metrics, metric_of
from entviz.evaluation.loss import TextOnDevice
from entviz.evaluation.scoring import DenseReference, dense_reference, score
from entviz.evaluation.work import Work
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, silent
from entviz.text.windows import Windows
from entviz.timing import seconds

LEAST_LAYERS = 3
MOST_SECONDS = 0.5  # for the layers, many windows together, and as long again for one alone


@dataclass(frozen=True)
class Pace:
    """Seconds that parts of a pass take, each for one window.

    Attributes:
        attention, mlp: of one layer, many windows together.
        projection: to predict each next token and compare with the dense model's prediction.
        reference: to predict each next token with the dense model.
        alone: the whole model, for a window that goes through it alone, with the projection of its last token.
        site: to measure the hidden states at a site, by all metrics that were asked for.
    """

    attention: float
    mlp: float
    projection: float
    reference: float
    alone: float
    site: float = 0.0

    def seconds(self, work: Work) -> float:
        """How long some work takes at this pace."""
        return (
            self.attention * work.attentions
            + self.mlp * work.mlps
            + self.projection * work.projections
            + self.reference * work.references
            + self.alone * work.alone
            + self.site * work.sites
            + work.seconds
        )


def pace(
    loaded: LoadedModel,
    windows: Windows,
    *,
    dtype: str = "float32",
    metrics: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Pace:
    """Time the parts of a pass over the first windows, on as many layers as half a second is enough for.

    Args:
        dtype: the number type of what is evaluated; metrics are always measured in float32.
        metrics: specs of those whose time at a site is wanted; by default all that are measured by default, and
            none for an empty sequence.
        progress: called between what is timed; it may raise to stop.
    """
    kernels.load()
    running = loaded.in_dtype(dtype)
    anatomy = running.anatomy
    size = windows_per_batch(anatomy, windows.input_length)
    text = TextOnDevice.of(running, dtype, windows.inputs[:size], windows)
    count, device = len(text.token_ids), loaded.device

    def timed(run: Callable[[], object]) -> float:
        progress(0, 0)
        return seconds(run, device)

    with torch.inference_mode():
        whole, halves, hidden = _layers(running, text.token_ids, timed)
        states, targets = text.scored(hidden)
        dense_reference(anatomy.head, states[:16], targets[:16])  # warms up
        made: list[DenseReference] = []
        reference = timed(lambda: made.append(dense_reference(anatomy.head, states, targets)))
        dense = made[0]
        projection = timed(lambda: score(anatomy.head, states, targets, dense))
        single, _, last = _layers(running, text.token_ids[:1], timed)
        single = single * anatomy.layers + timed(lambda: anatomy.head.logits(last[:, -1]))
        site = _site(loaded, windows, size, metrics, timed)
    return Pace(
        attention=(whole - halves) / count,
        mlp=halves / count,
        projection=projection / count,
        reference=reference / count,
        alone=single,
        site=site,
    )


def _layers(
    loaded: LoadedModel, token_ids: torch.Tensor, timed: Callable[[Callable[[], object]], float]
) -> tuple[float, float, torch.Tensor]:
    """Seconds of a layer and of its MLP alone, means over the first ones, and the hidden states after these."""
    anatomy = loaded.anatomy
    hidden, calls = anatomy.begin(token_ids)
    anatomy.split_layers[0].run(hidden, calls[0])  # memory is set aside
    wholes: list[float] = []
    shares: list[float] = []
    began = time.perf_counter()
    for step, call in zip(anatomy.split_layers, calls, strict=True):
        after: list[torch.Tensor] = []
        wholes.append(timed(lambda: after.append(step.run(hidden, call))))  # noqa: B023 - called at once
        if len(shares) < LEAST_LAYERS:
            alone = timed(lambda: step.run(hidden, call, attention=False))  # noqa: B023 - called at once
            shares.append(min(1.0, alone / wholes[-1]))
        hidden = after[0]
        if len(wholes) >= LEAST_LAYERS and time.perf_counter() - began > MOST_SECONDS:
            break
    whole = sum(wholes) / len(wholes)
    return whole, whole * sum(shares) / len(shares), hidden


def _site(
    loaded: LoadedModel,
    windows: Windows,
    size: int,
    metrics: Sequence[str] | None,
    timed: Callable[[Callable[[], object]], float],
) -> float:
    """Seconds to measure a site of one window by these metrics, of which importances are measured at every other."""
    measured = [metric_of(one) for one in (default_metrics() if metrics is None else metrics)]
    measured = [one for one in measured if one.minimum_tokens <= windows.input_length]
    if not measured:
        return 0.0
    anatomy = loaded.anatomy
    token_ids = windows.inputs[:size].to(loaded.device)
    hidden, calls = anatomy.begin(token_ids)
    middle, after = anatomy.split_layers[0].trace(hidden, calls[0])
    total = 0.0
    for one in measured:
        if isinstance(one, Entropy):
            one(after[:1])  # compiled now
            total += timed(lambda: one(after))  # noqa: B023 - called at once
        elif isinstance(one, Importance):
            one(hidden[:1], middle[:1], after[:1])
            total += timed(lambda: one(hidden, middle, after)) / 2  # noqa: B023
    return total / len(token_ids)
