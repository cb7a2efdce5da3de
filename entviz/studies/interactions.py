"""The cost of dropping two blocks beyond the sum of their single costs, for every pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from entviz.blocks import Block
from entviz.criteria.ranking import kinds_of
from entviz.progress import Progress
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.comparison.interactions.interactions import Interactions
    from entviz.models import LoadedModel
    from entviz.report import About
    from entviz.store import Run


@dataclass(frozen=True)
class MeasurePairs(TextStudy["Interactions"]):
    """Measure the damage of every pair of blocks. The partial result holds the pairs so far.

    Attributes:
        level: layer, attn, mlp or attn+mlp.
        blocks: the blocks to pair; None for all blocks of the level.
        dtype: the number type to run in.

    Raises:
        BlockError: for an unknown level.
    """

    level: str
    blocks: tuple[Block, ...] | None = None
    dtype: str = "float32"

    kind = "interactions"
    title = "Pairs of blocks"
    result = "entviz.comparison.interactions.interactions:Interactions"
    numbers: ClassVar[Mapping[str, str]] = {"pairs": "pairs"}
    page = Page("compare", "Interactions")

    def __post_init__(self) -> None:
        kinds_of(self.level)  # an unknown level is refused before anything is loaded

    def options(self) -> dict[str, Any]:
        return self.sample.options() | {"level": self.level}

    def shell_options(self) -> dict[str, Any]:
        blocks = {} if self.blocks is None else {"blocks": [str(block) for block in sorted(set(self.blocks))]}
        dtype = {} if self.dtype == "float32" else {"dtype": self.dtype}
        return blocks | dtype | self.sample.shell_options()

    def settled(self, loaded: LoadedModel, windows: Any) -> Self:
        from entviz.decoder.precision import resolved

        return replace(super().settled(loaded, windows), dtype=resolved(self.dtype, loaded.device))

    def compute(self, material: Material, progress: Progress) -> Interactions:
        from entviz.comparison.interactions.interactions import interactions

        return interactions(
            material.loaded,
            material.windows,
            self.level,
            blocks=self.blocks,
            dtype=self.dtype,
            cache=material.states,
            progress=progress,
        )

    def summarize(self, result: Interactions) -> dict[str, Any]:
        return {"level": self.level, "pairs": result.pairs}

    @classmethod
    def report(
        cls,
        result: Interactions,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_interactions

        shell = options.get("shell", {})
        return of_interactions(result, about, shell.get("blocks"), shell.get("dtype", "float32"))

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        return {"interactions.level": run.options["level"]}
