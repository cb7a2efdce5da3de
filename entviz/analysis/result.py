"""The result of an analysis: two tables, with the model and text that they describe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from entviz.analysis.tables import records
from entviz.blocks import PruneSet
from entviz.errors import OptionError
from entviz.models.notes import noted
from entviz.words.massive import left_out


@dataclass(frozen=True, eq=False)
class Analysis:
    """The result of :func:`analyze`.

    Attributes:
        model: the name under which the model was loaded.
        layers: number of transformer layers L.
        windows, window_length: the number of windows measured, and their length in tokens.
        sites: a row for each site and entropy metric, in order of depth. Columns: site, kind (embed, attn, layer),
            depth (0 for embed, i + 0.5 for attn.i, i + 1 for layer.i), metric (a spec, see
            :mod:`entviz.estimators.spec`), value (mean over windows, nats), per_window (tuple of floats).
        blocks: a row for each block and metric. Columns: block, kind, index, metric, value, per_window. For entropies
            the entropy increase in nats; for cosine the importance, 1 - mean cosine similarity (no unit).
        seconds: how long the measurement took.
        notes: sentences about how the text was read. A beginning token is measured like any other token.
        drop: the blocks that were dropped.
        massive: a row for each token with massive activations in the dense model; see :mod:`entviz.analysis.massive`.
            Columns: window and position (both from 0; a beginning token is position 0), token_id, text (empty without
            a tokenizer), ratio (the token's norm divided by the median norm in its window, the largest of all sites),
            first and last (the first and the last site at which it is massive). None if these tokens were not found:
            for a pruned model measured with all tokens, without the sites between attention and MLP, and in results of
            earlier versions.
        without_massive: whether these tokens were left out.
        repair: the name of the repair that the pruned model ran with; empty for none.
    """

    model: str
    layers: int
    windows: int
    window_length: int
    sites: pd.DataFrame
    blocks: pd.DataFrame
    seconds: float
    notes: tuple[str, ...] = ()
    drop: PruneSet = field(default_factory=PruneSet)
    massive: pd.DataFrame | None = None
    without_massive: bool = False
    repair: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The specs of all measured metrics, in order."""
        return tuple(dict.fromkeys(self.blocks["metric"]))

    @property
    def entropies(self) -> tuple[str, ...]:
        """The specs of the metrics that are entropies of sites; all other metrics are importances of blocks."""
        return tuple(dict.fromkeys(self.sites["metric"]))

    def turning_point(self, metric: str) -> int:
        """The layer whose output has the lowest entropy. The model compresses before it and enriches after it.

        Raises ``OptionError`` if no entropy of that name was measured.
        """
        curve = self.sites[(self.sites["metric"] == metric) & (self.sites["kind"] == "layer")]
        if curve.empty:
            raise OptionError(f"'{metric}' was not measured as an entropy here; measure it first.")
        return int(curve["depth"].iloc[int(curve["value"].to_numpy().argmin())]) - 1

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence that names the tokens left out, for beside every number; none where all were measured."""
        if not self.without_massive or self.massive is None:
            return ()
        return (left_out(self.massive, self.windows),)

    def to_json(self) -> dict[str, Any]:
        """Plain data: model, windows, window_length, drop, notes, and sites and blocks with per-window values.

        It also has repair if the model was repaired, without_massive if that is true, and the massive tokens if there
        are any.
        """
        massive = [] if self.massive is None else self.massive.to_dict("records")
        return {
            "model": self.model,
            "windows": self.windows,
            "window_length": self.window_length,
            **({"drop": str(self.drop)} if self.drop else {}),
            **({"repair": self.repair} if self.repair else {}),
            **({"without_massive": True} if self.without_massive else {}),
            **({"massive": massive} if massive else {}),
            **noted(self.notes),
            "sites": records(self.sites, "site"),
            "blocks": records(self.blocks, "block"),
        }
