"""Measure hidden states during the forward pass."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from entviz.analysis.massive import Kept, MassiveCount, massive_tokens
from entviz.analysis.result import Analysis
from entviz.analysis.reuse import covers, first_difference, same_windows
from entviz.analysis.streaming import stream, stream_name
from entviz.analysis.tables import block_table, site_table
from entviz.analysis.values import Values
from entviz.blocks import KINDS, PruneSet, all_blocks, check_levels
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.batching import batches, windows_per_batch
from entviz.decoder.running import states_before
from entviz.decoder.states import StateCache, text_key
from entviz.errors import OptionError
from entviz.estimators import METRICS, Metric, default_metrics, metric_of
from entviz.models.loaded import LoadedModel
from entviz.models.notes import notes_on
from entviz.progress import Progress, part, silent
from entviz.repair.repair import Repair, repaired
from entviz.text.windows import Windows
from entviz.words.massive import left_out

_SHARE = 0.4  # share of the time that the pass for massive tokens takes


def analyze(
    loaded: LoadedModel,
    windows: Windows,
    metrics: Sequence[str | Metric] | None = None,
    levels: Sequence[str] = KINDS,
    *,
    drop: PruneSet | None = None,
    repair: Repair | None = None,
    without_massive: bool = False,
    dense: Analysis | None = None,
    cache: StateCache | None = None,
    progress: Progress = silent,
) -> Analysis:
    """Measure a model's residual stream on ``windows``.

    A model with layers on disk is measured layer by layer, each read once for all windows; where that was stopped it
    goes on the next time (see :mod:`entviz.analysis.streaming`).

    With blocks dropped, the stream is that of the pruned model. A dropped block leaves the stream unchanged, so its
    entropy increase and its importance are exactly 0, unless a repair changes the stream there.

    Args:
        metrics: names from :data:`entviz.estimators.METRICS`, with any options that differ from the defaults
            (``knn(k=5)``), or metric objects. By default all metrics that do not take much longer than the model.
        levels: any of layer, attn, mlp; with layer alone the sites between attention and MLP are not visited.
        drop: the blocks to drop.
        repair: the result of :func:`entviz.repair.fit` for these blocks, with which the pruned model runs.
        without_massive: measure every metric, entropy or importance, without the tokens that have massive activations
            in the dense model; :mod:`entviz.analysis.massive` states the rule. If no token has, the numbers are those
            of all tokens.
        dense: an analysis of the dense model on the same windows, or of the model with other blocks dropped. The
            massive tokens are taken from it if it has them. If it has these metrics and levels for the same tokens,
            everything before the first layer where the two models differ is taken from it instead of being measured
            again.
        cache: hidden states to start from, shared between calls; see :class:`entviz.decoder.states.StateCache`. With
            it and ``dense``, dropping a block in layer i of L costs (L - i) / L of an analysis.

    Raises:
        OptionError: for an unknown metric or option, or too few tokens in a window for an estimator, also
            if too few are left without the massive ones; or a repair of another prune set.
        BlockError: for an unknown level, a dropped block that the model does not have, or if no block would be left.
        ModelError: if hidden states are not finite; the message says why.
    """
    started = time.perf_counter()
    drop = (drop or PruneSet()).check(loaded.anatomy.layers)
    anatomy = repaired(loaded.anatomy, drop, repair)
    levels = check_levels(levels)
    chosen = {one.spec: one for one in map(metric_of, default_metrics() if metrics is None else metrics)}
    if not chosen:
        raise OptionError(f"No metric given: choose from {', '.join(METRICS)}.")
    for metric in chosen.values():
        metric.check_tokens(windows.input_length)
    layers = loaded.anatomy.layers
    blocks = all_blocks(layers, levels)
    first = 0
    if drop and dense is not None and covers(dense, windows, chosen, levels, without_massive):
        first = first_difference(dense, drop, anatomy)
    massive = kept = None
    if without_massive:
        massive = dense.massive if dense is not None and same_windows(dense, windows) else None
        if massive is None:
            massive = massive_tokens(loaded, windows, progress=part(progress, 0, _SHARE))
            progress = part(progress, _SHARE, 1)
        kept = Kept(massive, len(windows), windows.input_length)
        kept.check(chosen.values())
    inside = levels != ("layer",)
    values = Values(loaded, drop, repair, chosen.values(), kept)
    if first and dense is not None:
        values.take_from(dense, first, inside=inside)
    # All sites of the dense model are examined, so that the options do not change which tokens are massive.
    count = MassiveCount(loaded) if inside and not drop and massive is None else None
    total = len(windows) * (layers - first)
    progress(0, total)
    with torch.inference_mode():
        if loaded.on_disk and anatomy.resumable:
            name = (
                None
                if repair is not None
                else stream_name(loaded, windows, chosen, levels, drop, first, kept)
            )
            stream(values, loaded, anatomy, windows, drop, first, count, name, progress, inside=inside)
        else:
            size = windows_per_batch(loaded.anatomy, windows.input_length)
            for done, token_ids in batches(windows.inputs, size):
                values.begin(done, count)
                for layer in _pass(values, loaded, anatomy, token_ids, drop, first, cache, inside=inside):
                    progress(done * (layers - first) + (layer + 1 - first) * len(token_ids), total)
    said = (*notes_on(loaded, windows), *(() if repair is None else repair.said))
    if without_massive and massive is not None:
        said = (*said, left_out(massive, len(windows)))
    return Analysis(
        model=loaded.name,
        layers=layers,
        windows=len(windows),
        window_length=windows.length,
        sites=site_table(layers, values.entropies, values.of_sites),
        blocks=block_table(blocks, values.entropies, values.importances, chosen),
        seconds=time.perf_counter() - started,
        notes=said,
        drop=drop,
        massive=massive if count is None else count.table,
        without_massive=without_massive,
        repair="" if repair is None else repair.method,
    )


def measurable(metrics: Iterable[str], tokens: int) -> tuple[str, ...]:
    """The metrics among ``metrics`` that can be measured on windows of ``tokens`` tokens.

    Raises ``OptionError`` for an unknown metric.
    """
    return tuple(metric for metric in metrics if metric_of(metric).minimum_tokens <= tokens)


def _pass(
    values: Values,
    loaded: LoadedModel,
    anatomy: Anatomy,
    token_ids: Tensor,
    drop: PruneSet,
    first: int,
    cache: StateCache | None,
    *,
    inside: bool,
) -> Iterator[int]:
    """Measure the stream of a batch of windows from layer ``first`` on, and yield the index of each finished layer.

    ``inside`` says whether the sites between attention and MLP are visited.
    """
    hidden, calls = anatomy.begin(token_ids.to(loaded.device))
    if first:
        text = text_key(loaded.fingerprint, str(loaded.dtype).removeprefix("torch."), token_ids)
        hidden = states_before(first, anatomy, hidden, calls, drop, cache=cache, text=text)
    else:
        values.site(token_ids, "embed", hidden)
    last = f"layer.{first - 1}" if first else "embed"
    for i in range(first, anatomy.layers):
        hidden = values.step(
            token_ids, i, anatomy.split_layers[i], calls[i], hidden, last=last, inside=inside
        )
        last = f"layer.{i}"
        yield i
