"""The measured damage of each kept block beside the prune set in view, in the background, as it comes in.

::

    damage.draw(chosen, kinds, ready=shown.fresh)     # asks, and says how far it is
    found = damage.newest(chosen, kinds)              # what is measured of the prune set in view, or None
    found.table                                       # columns: block, value, unit

It is asked once the numbers are there, and gives way to all other work. A new tick supersedes it; what it has measured
is kept, so that coming back to a prune set goes on from there.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import KINDS, PruneSet
from entviz.studies import MeasureDamages
from entviz.studies.block_damages import USUAL
from entviz.words.phrases import some
from pages.parts.prune import numbers, ticks
from pages.parts.shared import background, provenance, selection
from pages.parts.shared.markdown import escape

if TYPE_CHECKING:
    import pandas as pd

    from entviz.comparison.damages.block_damages import BlockDamages

PLACE: Final = "prune.damage"
SWITCH: Final = "prune.damage"
UNIT: Final = "nats a token"


@dataclass(frozen=True)
class DamageRequest:
    """What is asked for."""

    selection: selection.Selection
    drop: str
    levels: tuple[str, ...]
    dtype: str

    @property
    def study(self) -> MeasureDamages:
        """The same as a study."""
        drop = PruneSet.parse(self.drop)
        return MeasureDamages(self.selection.sample(), drop, self.levels, self.dtype)


@dataclass(frozen=True, eq=False)
class MeasuredDamage:
    """What is measured of the prune set in view, so far.

    Attributes:
        damages: the result as it is stored.
        measured_on: the model, the text and how much of it, the number type; as Markdown.
    """

    damages: "BlockDamages"
    measured_on: str

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each kept block that is measured, by depth. Columns: block, value (loss increase), unit."""
        rows = self.damages.blocks.dropna(subset=["loss"])
        return rows[["block", "loss"]].rename(columns={"loss": "value"}).assign(unit=UNIT)


def draw(chosen: selection.Selection, kinds: tuple[str, ...], *, ready: bool) -> None:
    """Ask for the damages, unless the person has switched that off, and say how far they are.

    ``kinds`` are those that the criterion ranks. Until ``ready`` nothing new is asked for: the numbers come first.
    """
    asked = _request(chosen, kinds)
    blocks = f" beside {escape(some(asked.drop.split(','), numbers.NAMED))}" if asked.drop else ""
    background.show(
        PLACE,
        asked,
        asked.study if st.session_state.get(SWITCH, True) else None,
        ready=ready,
        said=lambda share: f"Measuring what dropping each further block{blocks} would cost: {share:.0%}.",
    )


def newest(chosen: selection.Selection, kinds: tuple[str, ...]) -> MeasuredDamage | None:
    """What is measured of the prune set in view, or None: never what was measured of another."""
    found: BlockDamages | None = background.newest(PLACE, _request(chosen, kinds))
    if found is None:
        return None
    on = provenance.on(chosen.model, chosen.text_title, found.windows, found.window_length)
    return MeasuredDamage(found, f"{on}, {found.dtype}")


def _request(chosen: selection.Selection, kinds: tuple[str, ...]) -> DamageRequest:
    levels = KINDS if "layer" in kinds else USUAL
    dtype = "float32" if st.session_state.get("prune.float32") else "auto"
    return DamageRequest(chosen, ticks.text(), levels, dtype)
