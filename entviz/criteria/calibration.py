"""What a criterion chooses by: a model, calibration windows, and everything already measured on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entviz.part_cache import NoPartCache, PartCache
from entviz.progress import Progress, part, silent

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.blocks import PruneSet
    from entviz.criteria.cost_model import CostModel, KnownCosts
    from entviz.criteria.repaired_costs import RepairedCosts
    from entviz.decoder.states import StateCache
    from entviz.models.loaded import LoadedModel
    from entviz.repair.kept import Kept
    from entviz.text.windows import Windows

_MOST_FOR_BIASES = 4  # windows, which are run for every set that is tried
_FITTING = 0.6  # the usual share of the time that the fit of a repair takes, beside measuring


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model and its calibration text.

    Attributes:
        loaded: the model.
        windows: the calibration text.
        dtype: the number type in which criteria that try prune sets run the model.
        analysis: an analysis of the same model and windows, if there is one.
        cache: hidden states and dense predictions to start from, if there are any.
        tried: the costs already measured with this model, by windows and number type. They are not measured again, and
            new costs are added, so that a search for a large budget resumes from a search for a small one.
        kept: the cache for analyses of pruned models, so that choosing step by step resumes where it was stopped, and
            a larger budget continues from a smaller one.
    """

    loaded: LoadedModel
    windows: Windows
    dtype: str = "float32"
    analysis: Analysis | None = None
    cache: StateCache | None = None
    tried: dict[str, KnownCosts] = field(default_factory=dict)
    kept: PartCache = field(default_factory=NoPartCache)

    def analysis_of(
        self,
        metrics: Sequence[str],
        progress: Progress = silent,
        *,
        without_massive: bool = False,
        most_windows: int | None = None,
    ) -> Analysis:
        """The existing analysis if it has these metrics for these tokens, otherwise a new one, of ``most_windows``."""
        from entviz.analysis import analyze

        known = self.analysis
        if (
            known is not None
            and known.without_massive == without_massive
            and set(metrics) <= set(known.metrics)
        ):
            return known
        return analyze(
            self.loaded,
            self.windows if most_windows is None else _spread(self.windows, most_windows),
            tuple(metrics),
            without_massive=without_massive,
            dense=known,
            progress=progress,
        )

    def analysis_without(
        self,
        drop: PruneSet,
        metric: str,
        level: str,
        *,
        before: Analysis,
        cache: StateCache,
        repair: str = "",
        fits: Kept | None = None,
        progress: Progress = silent,
    ) -> Analysis:
        """A metric of the pruned model, at one level; everything equal in the analysis ``before`` is taken from it.

        With ``repair``, the name of a method, it is that of the repaired model; ``fits`` keeps what its fits begin
        with.
        """
        from entviz.analysis import analyze
        from entviz.criteria.ranking import kinds_of
        from entviz.decoder.precision import AUTO
        from entviz.repair.fitting import fit

        about: dict[str, Any] = {"metric": metric, "level": level, "drop": str(drop)}
        about |= {"without_massive": True} if before.without_massive else {}
        about |= {"repair": repair} if repair else {}
        known: Analysis | None = self.kept.get("measurement", self.windows.fingerprint, about)
        if known is None:
            fitted = None
            if repair:
                fitted = fit(
                    self.loaded,
                    self.windows,
                    drop,
                    repair,
                    dtype=AUTO,
                    kept=fits,
                    progress=part(progress, 0, _FITTING),
                )
                progress = part(progress, _FITTING, 1)
            known = analyze(
                self.loaded,
                self.windows,
                (metric,),
                kinds_of(level),
                drop=drop,
                repair=fitted,
                without_massive=before.without_massive,
                dense=before,
                cache=cache,
                progress=progress,
            )
            self.kept.put("measurement", self.windows.fingerprint, about, known)
        return known

    def repaired_costs(self, by: str, method: str, race_dtype: str) -> tuple[CostModel, RepairedCosts]:
        """Costs with a repair, on half of the calibration windows; the other half is what repairs are fitted on.

        Returns:
            a model for races, in which every prune set has the repair ``bias``, in ``race_dtype``; and one in which
            each is repaired by ``method``.

        Raises:
            OptionError: for an unknown method, or fewer than ``LEAST_WINDOWS`` windows.
        """
        from entviz.criteria.cost_model import CostModel, KnownCosts
        from entviz.criteria.repaired_costs import RepairedCosts, halves
        from entviz.decoder.precision import resolved
        from entviz.evaluation.biases import Biases
        from entviz.repair.registry import METHODS

        name = METHODS[method].name
        judged, fitted = halves(self.windows)
        key = f"{self.windows.fingerprint} {resolved(race_dtype, self.loaded.device)} raced with bias"
        tried = self.tried.setdefault(key, KnownCosts())
        if tried.biases is None:
            # As many as a constant needs: they all go through the model together.
            tried.biases = Biases(self.loaded, _spread(fitted, _MOST_FOR_BIASES), race_dtype)
        race = CostModel(self.loaded, judged, by=by, dtype=race_dtype, cache=self.cache, tried=tried)
        key = f"{self.windows.fingerprint} {resolved(self.dtype, self.loaded.device)} repaired by {name}"
        exact = RepairedCosts(
            self.loaded,
            judged,
            fitted=fitted,
            method=name,
            by=by,
            dtype=self.dtype,
            cache=self.cache,
            tried=self.tried.setdefault(key, KnownCosts()),
        )
        return race, exact

    def cost_model(self, by: str, dtype: str | None = None) -> CostModel:
        """Costs of prune sets on the calibration text, nats a token: ``nll``, ``kl``, or ``both`` for their sum."""
        from entviz.criteria.cost_model import CostModel, KnownCosts
        from entviz.decoder.precision import resolved

        dtype = self.dtype if dtype is None else dtype
        key = f"{self.windows.fingerprint} {resolved(dtype, self.loaded.device)}"
        tried = self.tried.setdefault(key, KnownCosts())
        return CostModel(self.loaded, self.windows, by=by, dtype=dtype, cache=self.cache, tried=tried)


def _spread(windows: Windows, most: int) -> Windows:
    """At most so many of the windows, one in the middle of each equal part."""
    count = min(most, len(windows))
    return windows[[(2 * place + 1) * len(windows) // (2 * count) for place in range(count)]]
