"""Measure hidden states during the forward pass."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

import pandas as pd
import torch
from torch import Tensor

from entviz.analysis.massive import Kept, MassiveCount, joined, massive_tokens, parts_of
from entviz.analysis.result import Analysis
from entviz.analysis.reuse import covers, first_difference, same_windows
from entviz.analysis.tables import block_table, site_table
from entviz.blocks import KINDS, Block, PruneSet, all_blocks, check_levels, site_names
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.batching import batches, windows_per_batch
from entviz.decoder.running import states_before
from entviz.decoder.states import StateCache, text_key
from entviz.errors import OptionError
from entviz.estimators import METRICS, Entropy, Importance, Metric, default_metrics, metric_of
from entviz.finite import all_finite, cause
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
    values = _Values(loaded, drop, repair, chosen.values(), kept)
    if first and dense is not None:
        values.take_from(dense, first, inside=inside)
    # All sites of the dense model are examined, so that the options do not change which tokens are massive.
    count = MassiveCount(loaded) if inside and not drop and massive is None else None
    size = windows_per_batch(loaded.anatomy, windows.input_length)
    total = len(windows) * (layers - first)
    progress(0, total)
    with torch.inference_mode():
        for done, token_ids in batches(windows.inputs, size):
            values.begin(done, count)
            for layer in _pass(
                values, loaded, anatomy, token_ids, drop, first, cache, done=done, inside=inside
            ):
                progress(done * (layers - first) + (layer + 1 - first) * len(token_ids), total)
            if count is not None:
                count.end_batch(token_ids, done)
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
    values: _Values,
    loaded: LoadedModel,
    anatomy: Anatomy,
    token_ids: Tensor,
    drop: PruneSet,
    first: int,
    cache: StateCache | None,
    *,
    done: int,
    inside: bool,
) -> Iterator[int]:
    """Measure the stream of a batch of windows from layer ``first`` on, and yield the index of each finished layer.

    ``done`` is the number of windows measured before this batch. ``inside`` says whether the sites between attention
    and MLP are visited.
    """
    hidden, calls = anatomy.begin(token_ids.to(loaded.device))
    if first:
        text = text_key(loaded.fingerprint, str(loaded.dtype).removeprefix("torch."), token_ids)
        hidden = states_before(first, anatomy, hidden, calls, drop, cache=cache, text=text)
    else:
        values.site(token_ids, "embed", hidden)
    last = (
        f"layer.{first - 1}" if first else "embed"
    )  # the last site visited, in this model or in the dense one
    for i in range(first, anatomy.layers):
        step, call = anatomy.split_layers[i], calls[i]
        attention, mlp = i not in drop.attention, i not in drop.mlp
        before, middle = hidden, None
        if inside:
            middle, hidden = step.trace(before, call, attention=attention, mlp=mlp)
        else:
            hidden = step.run(before, call, attention=attention, mlp=mlp)
        sites = [(f"attn.{i}", middle)] if middle is not None else []
        stream = before
        for site, states in [*sites, (f"layer.{i}", hidden)]:
            if states is stream:
                values.same(site, last, done, len(token_ids))
            else:
                values.site(token_ids, site, states)
            stream, last = states, site
        values.layer(token_ids, i, before, middle, hidden)
        yield i


class _Values:
    """The values measured on each window: entropies by site and metric, importances by block and metric."""

    def __init__(
        self,
        loaded: LoadedModel,
        drop: PruneSet,
        repair: Repair | None,
        metrics: Iterable[Metric],
        kept: Kept | None,
    ) -> None:
        self._loaded, self._drop, self._repair, self._kept = loaded, drop, repair, kept
        self._done = 0
        self._count: MassiveCount | None = None
        metrics = tuple(metrics)
        self.of_sites = {one.spec: one for one in metrics if isinstance(one, Entropy)}
        self.of_blocks = {one.spec: one for one in metrics if isinstance(one, Importance)}
        self.entropies: dict[tuple[str, str], list[float]] = {}
        self.importances: dict[tuple[str, str], list[float]] = {}

    def begin(self, done: int, count: MassiveCount | None) -> None:
        """Windows from number ``done`` on come now, and ``count`` looks at them too."""
        self._done, self._count = done, count

    def site(self, token_ids: Tensor, site: str, states: Tensor) -> None:
        """Measure the hidden states at a site."""
        parts = self._parts(states)
        for spec, measure in self.of_sites.items():
            found = joined([(places, measure(kept).tolist()) for places, kept in parts])
            if not all_finite(found):
                self._fail(token_ids, spec, site, states)
            self.entropies.setdefault((site, spec), []).extend(found)
        if self._count is not None:
            self._count.site(token_ids, site, states)

    def _parts(self, states: Tensor) -> list[tuple[list[int], Tensor]]:
        return parts_of(states, self._kept, self._done)

    def same(self, site: str, before: str, done: int, windows: int) -> None:
        """Copy the values of site ``before`` to ``site``, whose stream is the same.

        This is done for ``windows`` windows, starting at window number ``done``.
        """
        for spec in self.of_sites:
            known = self.entropies[before, spec][done : done + windows]
            self.entropies.setdefault((site, spec), []).extend(known)

    def layer(
        self, token_ids: Tensor, layer: int, before: Tensor, middle: Tensor | None, after: Tensor
    ) -> None:
        """Measure how a layer and its blocks change the stream. A block that leaves it unchanged has importance 0."""
        for spec, measure in self.of_blocks.items():
            found = self._importances(measure, before, middle, after)
            idle = {"attn": middle is before, "mlp": after is middle, "layer": after is before}
            for kind, values in found.items():
                if not all_finite(values):
                    self._fail(token_ids, spec, f"layer.{layer}", before, after)
                values = [0.0] * len(values) if idle[kind] else values
                self.importances.setdefault((f"{kind}.{layer}", spec), []).extend(values)

    def _importances(
        self, measure: Importance, before: Tensor, middle: Tensor | None, after: Tensor
    ) -> dict[str, list[float]]:
        found: dict[str, list[tuple[list[int], list[float]]]] = {}
        befores, afters = self._parts(before), self._parts(after)
        middles = (
            [states for _, states in self._parts(middle)] if middle is not None else [None] * len(befores)
        )
        for (places, x), y, (_, z) in zip(befores, middles, afters, strict=True):
            for kind, values in measure(x, y, z).items():
                found.setdefault(kind, []).append((places, values.tolist()))
        return {kind: joined(parts) for kind, parts in found.items()}

    def take_from(self, dense: Analysis, first: int, *, inside: bool) -> None:
        """Take the values of all sites and blocks before layer ``first`` from another analysis.

        ``inside`` says whether the sites between attention and MLP are visited.
        """
        before = {site for site in site_names(first) if inside or not site.startswith("attn")}
        for site, metric, values in _rows(dense.sites, "site"):
            if site in before and metric in self.of_sites:
                self.entropies[site, metric] = values
        for block, metric, values in _rows(dense.blocks, "block"):
            if Block.parse(block).index < first and metric in self.of_blocks:
                self.importances[block, metric] = values

    def _fail(self, token_ids: Tensor, metric: str, site: str, *states: Tensor) -> NoReturn:
        if not all(map(all_finite, states)):
            raise cause(self._loaded, token_ids, self._drop, self._repair)
        largest = max(float(part.abs().max()) for part in states)
        raise OptionError(
            f"'{metric}' is not a finite number at {site}, where hidden states reach {largest:.2g}: it is measured in "
            "float32, which cannot hold their squares. Leave this metric out."
        )


def _rows(table: pd.DataFrame, name: str) -> Iterator[tuple[str, str, list[float]]]:
    for key, metric, values in zip(table[name], table["metric"], table["per_window"], strict=True):
        yield key, metric, list(values)
