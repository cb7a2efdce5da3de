"""The values that an analysis measures, window by window, while hidden states pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NoReturn

import pandas as pd
from torch import Tensor

from entviz.analysis.massive import Kept, MassiveCount, joined, parts_of
from entviz.analysis.result import Analysis
from entviz.blocks import Block, PruneSet, site_names
from entviz.decoder.splitting import Call, SplitLayer
from entviz.errors import OptionError
from entviz.estimators import Entropy, Importance, Metric
from entviz.finite import all_finite, cause
from entviz.models.loaded import LoadedModel
from entviz.repair.repair import Repair


class Values:
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
            self._count.site(token_ids, site, states, self._done)

    def step(
        self,
        token_ids: Tensor,
        layer: int,
        split: SplitLayer,
        call: Call,
        before: Tensor,
        *,
        last: str,
        inside: bool,
    ) -> Tensor:
        """Run a layer of a batch of windows without what is dropped, and measure it. Returns its output.

        ``last`` is the site before the layer. ``inside`` says whether the site between attention and MLP is visited.
        """
        attention, mlp = layer not in self._drop.attention, layer not in self._drop.mlp
        middle = None
        if inside:
            middle, hidden = split.trace(before, call, attention=attention, mlp=mlp)
        else:
            hidden = split.run(before, call, attention=attention, mlp=mlp)
        sites = [(f"attn.{layer}", middle)] if middle is not None else []
        stream = before
        for site, states in [*sites, (f"layer.{layer}", hidden)]:
            if states is stream:
                self.same(site, last, self._done, len(token_ids))
            else:
                self.site(token_ids, site, states)
            stream, last = states, site
        self.layer(token_ids, layer, before, middle, hidden)
        return hidden

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
