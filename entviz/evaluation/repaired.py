"""The cost of a prune set with a repair, beside its cost without.

found = evaluate_repaired(loaded, windows, fit(loaded, calibration, drop, "refit"))
found.plain_perplexity, found.perplexity, found.recovered
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from entviz.decoder.states import StateCache
from entviz.evaluation.loss import Evaluation, evaluate
from entviz.evaluation.perplexity import or_none, perplexity
from entviz.models.loaded import LoadedModel
from entviz.progress import Progress, part, silent
from entviz.repair.repair import Repair
from entviz.statistics import Interval, cosine_averages, interval
from entviz.text.windows import Windows


@dataclass(frozen=True, eq=False)
class RepairedEvaluation(Evaluation):
    """An evaluation of a repaired prune set, with what the same prune set costs without the repair.

    Attributes:
        plain_token_nll: (W, S-1) the loss of each scored token without the repair, nats.
        plain_token_kl: (W, S-1) KL(dense || pruned) without the repair, nats.
        calibration_tokens: how many tokens of other text the repair was fitted on.
        fits: a row for each place that was fitted. Columns: site, block, inputs (features), ridge, and left 1, left 2
            ... (for each kind of calibration text the share of the squared error that is left on held-out windows).
        fitted_on: that text in a few words.
    """

    plain_token_nll: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    plain_token_kl: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    calibration_tokens: int = 0
    fits: pd.DataFrame = field(default_factory=pd.DataFrame)
    fitted_on: str = "other text"

    @property
    def plain_nll(self) -> float:
        """Mean loss without the repair, nats a token."""
        return float(self.plain_token_nll.mean())

    @property
    def plain_perplexity(self) -> float:
        """exp of the mean loss without the repair."""
        return perplexity(self.plain_nll)

    @property
    def plain_kl(self) -> float:
        """Mean KL(dense || pruned) without the repair, nats."""
        return float(self.plain_token_kl.mean())

    @property
    def recovered(self) -> float | None:
        """The share of the loss increase that the repair takes away; negative if it adds to it.

        None if the prune set costs nothing on this text.
        """
        excess = self.plain_nll - self.dense_nll
        return (self.plain_nll - self.nll) / excess if excess > 0 else None

    @property
    def recovered_interval(self) -> Interval | None:
        """:attr:`recovered` with its 95% interval; the ratio of two means of the same tokens, by the delta method."""
        share = self.recovered
        if share is None:
            return None
        rest = (self.plain_token_nll - self.token_nll) - share * (self.plain_token_nll - self.dense_token_nll)
        excess = self.plain_nll - self.dense_nll
        around = interval(cosine_averages(rest))  # of a mean of 0
        return Interval(share, share + around.low / excess, share + around.high / excess)

    def to_json(self) -> dict[str, Any]:
        """As of an evaluation, with ``plain``, ``recovered`` and the fits."""
        plain = {"nll": self.plain_nll, "perplexity": or_none(self.plain_perplexity), "kl": self.plain_kl}
        return super().to_json() | {
            "plain": plain,
            "recovered": self.recovered,
            "calibration_tokens": self.calibration_tokens,
            "fitted_on": self.fitted_on,
            # An infinite ridge, which means no change, is no number of JSON.
            "fits": self.fits.replace([np.inf], None).to_dict("records"),
        }


def evaluate_repaired(
    loaded: LoadedModel,
    windows: Windows,
    repair: Repair,
    *,
    dtype: str = "float32",
    cache: StateCache | None = None,
    progress: Progress = silent,
) -> RepairedEvaluation:
    """Measure on ``windows`` what the prune set of ``repair`` costs with it and without it.

    The other arguments are those of :func:`entviz.evaluation.loss.evaluate`, which also says what is raised.
    """
    cache = StateCache() if cache is None else cache
    plain = evaluate(loaded, windows, repair.drop, dtype=dtype, cache=cache, progress=part(progress, 0, 0.5))
    found = evaluate(
        loaded,
        windows,
        repair.drop,
        dtype=dtype,
        repair=repair,
        cache=cache,
        progress=part(progress, 0.5, 1),
    )
    own = {one.name: getattr(found, one.name) for one in fields(Evaluation)}
    return RepairedEvaluation(
        **own | {"notes": (*found.notes, *repair.notes)},
        plain_token_nll=plain.token_nll,
        plain_token_kl=plain.token_kl,
        calibration_tokens=repair.tokens,
        fits=fit_table(repair),
        fitted_on=repair.fitted_on,
    )


def fit_table(repair: Repair) -> pd.DataFrame:
    """How each place was fitted; see :class:`RepairedEvaluation` for the columns."""
    return pd.DataFrame(
        [
            {"site": one.site, "block": one.block, "inputs": one.inputs, "ridge": one.ridge}
            | {f"left {kind}": share for kind, share in enumerate(one.left, start=1)}
            for one in repair.fits
        ]
    )
