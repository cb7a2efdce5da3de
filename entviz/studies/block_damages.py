"""What dropping each further block would cost, beside a prune set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.blocks import KINDS, PruneSet, in_order_of_kind
from entviz.progress import Progress
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.comparison.damages.block_damages import BlockDamages
    from entviz.report import About
    from entviz.store import Run

USUAL = ("attn", "mlp")


@dataclass(frozen=True)
class MeasureDamages(TextStudy["BlockDamages"]):
    """Measure what dropping each kept block too would cost. The partial result has the blocks so far.

    Attributes:
        drop: what is dropped already.
        levels: the kinds of block to measure.
        dtype: the number type to run in, or ``auto`` for the fastest here.

    Raises:
        BlockError: for an unknown level.
    """

    drop: PruneSet = field(default_factory=PruneSet)
    levels: tuple[str, ...] = USUAL
    dtype: str = "float32"

    kind = "block damages"
    title = "Damage of each block"
    result = "entviz.comparison.damages.block_damages:BlockDamages"
    parts: ClassVar[Mapping[str, str]] = {"block cost": "entviz.evaluation.many:PruneSetCost"}
    numbers: ClassVar[Mapping[str, str]] = {"cheapest": "cheapest", "loss": "loss increase"}
    page = Page("prune")
    background = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", in_order_of_kind(self.levels))

    def options(self) -> dict[str, Any]:
        asked = {"drop": str(self.drop), "levels": list(self.levels), "dtype": self.dtype}
        return self.sample.options() | asked

    def compute(self, material: Material, progress: Progress) -> BlockDamages:
        from entviz.comparison.damages.block_damages import block_damages

        return block_damages(
            material.loaded,
            material.windows,
            self.drop,
            self.levels,
            dtype=self.dtype,
            cache=material.states,
            kept=material.results.parts_of(self),
            progress=progress,
        )

    def summarize(self, result: BlockDamages) -> dict[str, Any]:
        cheapest = result.blocks.nsmallest(1, "loss").to_dict("records")
        best = {"cheapest": str(cheapest[0]["block"]), "loss": float(cheapest[0]["loss"])} if cheapest else {}
        return best | {"blocks": len(result.blocks)}

    @classmethod
    def report(
        cls,
        result: BlockDamages,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_damages

        return of_damages(result, about, options["levels"], options["dtype"])

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        return {"prune.float32": run.options["dtype"] == "float32"}

    @classmethod
    def found_by_page(cls, run: Run) -> bool:
        """The page asks for attentions and MLPs, and for layers too where these are ranked."""
        return tuple(run.options["levels"]) in (USUAL, KINDS) and run.options["dtype"] in ("auto", "float32")
