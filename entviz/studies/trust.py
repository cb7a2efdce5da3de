"""Which criterion to trust: each criterion's scores against the measured damage of each block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from entviz.criteria.ranking import kinds_of
from entviz.estimators import base, default_entropies, entropies, entropy_of, specs_in_order
from entviz.progress import Progress
from entviz.studies.analysis import known_analysis
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.comparison.trust.trust import Trust
    from entviz.models import LoadedModel
    from entviz.report import About
    from entviz.store import Run


@dataclass(frozen=True)
class JudgeCriteria(TextStudy["Trust"]):
    """Compare each criterion's scores for the blocks of a level with the cost of dropping each block alone.

    Attributes:
        level: layer, attn, mlp or attn+mlp.
        estimators: the entropies to judge, with any options that differ from the defaults. Their order makes no
            difference. None stands for the default entropies, and naming exactly these gives None too.
        dtype: the number type to run the pruned models in.

    Raises:
        BlockError: for an unknown level.
        OptionError: for an unknown entropy.
    """

    level: str
    estimators: tuple[str, ...] | None = None
    dtype: str = "float32"

    kind = "trust"
    title = "Criteria against damage"
    result = "entviz.comparison.trust.trust:Trust"
    numbers: ClassVar[Mapping[str, str]] = {"verdict": ""}
    page = Page("compare", "Which to trust")

    def __post_init__(self) -> None:
        kinds_of(self.level)  # an unknown level is refused before anything is loaded
        if self.estimators is not None:
            asked = specs_in_order([entropy_of(spec) for spec in self.estimators])
            object.__setattr__(self, "estimators", None if asked == default_entropies() else asked)

    def options(self) -> dict[str, Any]:
        # The default entropies are not named, so that their results keep the key that they always had.
        estimators = {} if self.estimators is None else {"estimators": list(self.estimators)}
        return self.sample.options() | {"level": self.level} | estimators

    def shell_options(self) -> dict[str, Any]:
        dtype = {} if self.dtype == "float32" else {"dtype": self.dtype}
        return dtype | self.sample.shell_options()

    def settled(self, loaded: LoadedModel, windows: Any) -> Self:
        from entviz.decoder.precision import resolved

        return replace(super().settled(loaded, windows), dtype=resolved(self.dtype, loaded.device))

    def compute(self, material: Material, progress: Progress) -> Trust:
        from entviz.comparison.trust.trust import trust

        return trust(
            material.loaded,
            material.windows,
            self.level,
            estimators=default_entropies() if self.estimators is None else self.estimators,
            analysis=known_analysis(material, self.sample, material.windows.fingerprint),
            dtype=self.dtype,
            cache=material.states,
            progress=progress,
        )

    def summarize(self, result: Trust) -> dict[str, Any]:
        from entviz.comparison.trust.verdict import verdict

        return {"level": self.level, "verdict": verdict(result)[0]}

    @classmethod
    def report(
        cls,
        result: Trust,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_trust

        return of_trust(result, about, options.get("shell", {}).get("dtype", "float32"))

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        names = {base(spec) for spec in cls.measured(run)}
        picked = [name for name in entropies() if name in names]
        return {"trust.level": run.options["level"], "trust.estimators": picked or list(default_entropies())}

    @classmethod
    def measured(cls, run: Run) -> tuple[str, ...]:
        # Runs of earlier versions store them among the options that only a command could set.
        stored = run.options.get("estimators") or run.options.get("shell", {}).get("estimators")
        return tuple(stored or default_entropies())

    @classmethod
    def found_by_page(cls, run: Run) -> bool:
        """A page takes each entropy with one set of options."""
        return len(set(map(base, cls.measured(run)))) == len(cls.measured(run))
