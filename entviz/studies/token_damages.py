"""Which dropped block costs which token of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from entviz.blocks import PruneSet
from entviz.errors import OptionError
from entviz.progress import Progress
from entviz.studies.study import Material, Page, TextStudy

if TYPE_CHECKING:
    from entviz.comparison.damages.token_damages import TokenDamages
    from entviz.report import About
    from entviz.store import Run

MOST_BLOCKS = 60  # that are put back one by one


@dataclass(frozen=True)
class MeasureTokenDamages(TextStudy["TokenDamages"]):
    """Put each dropped block back alone, and measure each token's loss. The partial result has the blocks so far.

    Attributes:
        drop: the prune set.
        dtype: the number type to run in, or ``auto`` for the fastest here.
    """

    drop: PruneSet
    dtype: str = "float32"

    kind = "token damages"
    title = "Damage to each token"
    result = "entviz.comparison.damages.token_damages:TokenDamages"
    parts: ClassVar[Mapping[str, str]] = {
        "token losses": "entviz.comparison.damages.token_damages:TokenLosses"
    }
    numbers: ClassVar[Mapping[str, str]] = {"dearest": "dearest", "cost": "costs"}
    page = Page("prune")
    background = True

    def options(self) -> dict[str, Any]:
        return self.sample.options() | {"drop": str(self.drop), "dtype": self.dtype}

    def check(self) -> None:
        if len(list(self.drop)) > MOST_BLOCKS:
            raise OptionError(
                f"{len(list(self.drop))} blocks are dropped, and at most {MOST_BLOCKS} are put back one by one: drop "
                "fewer."
            )

    def compute(self, material: Material, progress: Progress) -> TokenDamages:
        from entviz.comparison.damages.token_damages import token_damages

        return token_damages(
            material.loaded,
            material.windows,
            self.drop,
            dtype=self.dtype,
            cache=material.states,
            kept=material.results.parts_of(self),
            progress=progress,
        )

    def summarize(self, result: TokenDamages) -> dict[str, Any]:
        dearest = result.table().nlargest(1, "cost").to_dict("records")
        best = {"dearest": str(dearest[0]["block"]), "cost": float(dearest[0]["cost"])} if dearest else {}
        return best | {"blocks": len(result.blocks)}

    @classmethod
    def token_rows(cls, result: TokenDamages) -> list[list[int]]:
        rows: list[list[int]] = result.token_ids.tolist()
        return rows

    @classmethod
    def report(
        cls,
        result: TokenDamages,
        about: About,
        options: Mapping[str, Any],
        pieces: Sequence[Sequence[str]] | None = None,
    ) -> str:
        from entviz.report import of_token_damages

        return of_token_damages(result, about, options["dtype"], pieces)

    @classmethod
    def opened(cls, run: Run, text: str | None) -> dict[str, Any]:
        return {"prune.float32": run.options["dtype"] == "float32"}

    @classmethod
    def found_by_page(cls, run: Run) -> bool:
        """The page measures in the fastest number type, or in float32."""
        return run.options["dtype"] in ("auto", "float32")
