"""Entropy at every site and cosine importance of every block of a model on a text.

    analysis = analyze(load(), windows_from_text(text, tokenizer), metrics=("bucket", "cosine"))
    analysis.sites        # one row a site and metric
    analysis.blocks       # one row a block and metric: entropy increase, or importance for cosine

Hidden states are measured as they pass and then forgotten, so memory does not grow with the text.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pandas as pd
import torch

from entviz.blocks import KINDS, Block, all_blocks, check_levels, site_names, sites_of
from entviz.decoder.batching import batches, windows_per_batch
from entviz.errors import OptionError
from entviz.estimators import METRICS, Entropy, Importance, Metric, default_metrics, metric_of
from entviz.finite import all_finite, cause
from entviz.models.loaded import LoadedModel
from entviz.models.notes import noted, notes_on
from entviz.progress import Progress, silent
from entviz.text.windows import Windows


@dataclass(frozen=True, eq=False)
class Analysis:
    """What :func:`analyze` found.

    Attributes:
        model: the name the model was loaded by.
        layers: number of transformer layers L.
        windows, window_length: how many windows of how many tokens of the text were measured.
        sites: a row for each site and entropy metric, in order of depth. Columns: site, kind (embed, attn, layer),
            depth (0 for embed, i + 0.5 for attn.i, i + 1 for layer.i), metric (a spec, see
            :mod:`entviz.estimators.spec`), value (mean over windows, nats), per_window (tuple of floats).
        blocks: a row for each block and metric. Columns: block, kind, index, metric, value, per_window. For entropies
            the entropy increase in nats; for cosine the importance, 1 - mean cosine similarity (no unit).
        seconds: how long the measuring took.
        notes: sentences about how the text was read; what begins a window is measured with it.
    """

    model: str
    layers: int
    windows: int
    window_length: int
    sites: pd.DataFrame
    blocks: pd.DataFrame
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of all metrics that were measured, in order."""
        return tuple(dict.fromkeys(self.blocks["metric"]))

    @property
    def entropies(self) -> tuple[str, ...]:
        """Those of them that are entropies of sites; the others are importances of blocks."""
        return tuple(dict.fromkeys(self.sites["metric"]))

    def turning_point(self, metric: str) -> int:
        """The layer whose output has the lowest entropy: before it the model compresses, after it enriches.

        Raises ``OptionError`` where no entropy of that name was measured.
        """
        curve = self.sites[(self.sites["metric"] == metric) & (self.sites["kind"] == "layer")]
        if curve.empty:
            raise OptionError(f"'{metric}' was not measured as an entropy here; measure it first.")
        return int(curve["depth"].iloc[int(curve["value"].to_numpy().argmin())]) - 1

    def to_json(self) -> dict[str, Any]:
        """Plain data: model, windows, window_length, notes, and sites and blocks with per-window values."""
        return {
            "model": self.model,
            "windows": self.windows,
            "window_length": self.window_length,
            **noted(self.notes),
            "sites": _records(self.sites, "site"),
            "blocks": _records(self.blocks, "block"),
        }


def analyze(
    loaded: LoadedModel,
    windows: Windows,
    metrics: Sequence[str | Metric] | None = None,
    levels: Sequence[str] = KINDS,
    *,
    progress: Progress = silent,
) -> Analysis:
    """Measure a model's residual stream on ``windows``.

    Args:
        metrics: names of :data:`entviz.estimators.METRICS`, with options where they are not the usual ones:
            ``knn(k=5)``; or such objects. By default all that do not take much longer than the model itself.
        levels: which of layer, attn, mlp; with layer alone the sites between attention and MLP are not visited.

    Raises:
        OptionError: for an unknown metric or option, or too few tokens in a window for an estimator.
        BlockError: for an unknown level.
        ModelError: where hidden states are not finite, saying why.
    """
    started = time.perf_counter()
    levels = check_levels(levels)
    chosen = {one.spec: one for one in map(metric_of, default_metrics() if metrics is None else metrics)}
    if not chosen:
        raise OptionError(f"No metric given: choose from {', '.join(METRICS)}.")
    for metric in chosen.values():
        metric.check_tokens(windows.input_length)
    anatomy = loaded.anatomy
    every_site = levels != ("layer",)
    of_sites = {spec: one for spec, one in chosen.items() if isinstance(one, Entropy)}
    of_blocks = {spec: one for spec, one in chosen.items() if isinstance(one, Importance)}
    entropies: dict[tuple[str, str], list[float]] = {}
    importances: dict[tuple[str, str], list[float]] = {}

    def visit(site: str, states: torch.Tensor) -> None:
        for spec, measure in of_sites.items():
            found = measure(states).tolist()
            if not all_finite(found):
                fail(spec, site, states)
            entropies.setdefault((site, spec), []).extend(found)

    def compare(layer: int, before: torch.Tensor, middle: torch.Tensor | None, after: torch.Tensor) -> None:
        for spec, measure in of_blocks.items():
            for kind, values in measure(before, middle, after).items():
                found = values.tolist()
                if not all_finite(found):
                    fail(spec, f"layer.{layer}", before, after)
                importances.setdefault((f"{kind}.{layer}", spec), []).extend(found)

    def fail(metric: str, site: str, *states: torch.Tensor) -> NoReturn:
        if not all(map(all_finite, states)):
            raise cause(loaded, token_ids)
        largest = max(float(part.abs().max()) for part in states)
        raise OptionError(
            f"'{metric}' is not a finite number at {site}, where hidden states reach {largest:.2g}: it is measured in "
            "float32, which cannot hold their squares. Leave this metric out."
        )

    size = windows_per_batch(loaded.anatomy, windows.input_length)
    count = len(windows)
    progress(0, count * anatomy.layers)
    with torch.inference_mode():
        for first, token_ids in batches(windows.inputs, size):
            hidden, calls = anatomy.begin(token_ids.to(loaded.device))
            visit("embed", hidden)
            for i, (step, call) in enumerate(zip(anatomy.steps, calls, strict=True)):
                before, middle = hidden, None
                if every_site:
                    middle, hidden = step.trace(before, call)
                    visit(f"attn.{i}", middle)
                else:
                    hidden = step.run(before, call)
                visit(f"layer.{i}", hidden)
                compare(i, before, middle, hidden)
                progress(first * anatomy.layers + (i + 1) * len(token_ids), count * anatomy.layers)
    return Analysis(
        model=loaded.name,
        layers=anatomy.layers,
        windows=count,
        window_length=windows.length,
        sites=_site_table(anatomy.layers, entropies, of_sites),
        blocks=_block_table(all_blocks(anatomy.layers, levels), entropies, importances, chosen),
        seconds=time.perf_counter() - started,
        notes=notes_on(loaded, windows),
    )


def measurable(metrics: Iterable[str], tokens: int) -> tuple[str, ...]:
    """Those of ``metrics`` for which windows of so many tokens are long enough.

    Raises ``OptionError`` for an unknown metric.
    """
    return tuple(metric for metric in metrics if metric_of(metric).minimum_tokens <= tokens)


def _site_table(
    layers: int, entropies: Mapping[tuple[str, str], list[float]], metrics: Iterable[str]
) -> pd.DataFrame:
    rows = []
    for metric in metrics:
        for number, site in enumerate(site_names(layers)):
            if (site, metric) in entropies:
                values = tuple(entropies[site, metric])
                rows.append(
                    (site, site.partition(".")[0], number / 2, metric, sum(values) / len(values), values)
                )
    return pd.DataFrame(rows, columns=["site", "kind", "depth", "metric", "value", "per_window"])


def _block_table(
    blocks: Iterable[Block],
    entropies: Mapping[tuple[str, str], list[float]],
    importances: Mapping[tuple[str, str], list[float]],
    metrics: Iterable[str],
) -> pd.DataFrame:
    rows = []
    for metric in metrics:
        for block in blocks:
            if (str(block), metric) in importances:
                values = tuple(importances[str(block), metric])
            else:
                before, after = (entropies[site, metric] for site in sites_of(block))
                values = tuple(late - early for early, late in zip(before, after, strict=True))
            rows.append((str(block), block.kind, block.index, metric, sum(values) / len(values), values))
    return pd.DataFrame(rows, columns=["block", "kind", "index", "metric", "value", "per_window"])


def _records(table: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    return [
        {name: row[0], "metric": row[1], "value": row[2], "per_window": list(row[3])}
        for row in zip(table[name], table["metric"], table["value"], table["per_window"], strict=True)
    ]
