"""A fitted repair: plain data that stands beside a prune set as an argument of a run.

repair = fit(loaded, calibration, drop, "refit")
repair.on(loaded.anatomy)                # runs with it; the model itself stays as it is
repair.digest                            # for keys: the same for equal repairs
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from entviz.blocks import PruneSet
from entviz.decoder.anatomy import Anatomy
from entviz.decoder.patches import Patch, patched
from entviz.errors import OptionError
from entviz.repair.choice import RepairChoice


@dataclass(frozen=True)
class Fit:
    """How one place was fitted.

    Attributes:
        site: where the stream should be the dense model's.
        block: the block that was changed or substituted; empty if the stream itself is corrected.
        inputs: how many features there were.
        ridge: what coefficients cost, as a share of a feature's mean square; infinite if no change was best.
        left: for each kind of calibration text, the share of the squared error that is left on windows held out.
    """

    site: str
    block: str
    inputs: int
    ridge: float
    left: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Repair:
    """What puts the stream right after the holes of a prune set.

    Attributes:
        method: the name of the method that was fitted.
        drop: the prune set that it repairs.
        patches: the changes, by depth.
        fits: how each place was fitted, by depth.
        calibration: the fingerprints of the calibration windows, one for each kind of text.
        tokens: how many tokens of calibration text there were.
        notes: what was left as it is, and why.
        choice: what it was fitted by, with the calibration texts; None if it was fitted on windows.
    """

    method: str
    drop: PruneSet
    patches: tuple[Patch, ...]
    fits: tuple[Fit, ...] = ()
    calibration: tuple[str, ...] = ()
    tokens: int = 0
    notes: tuple[str, ...] = ()
    choice: RepairChoice | None = None

    @cached_property
    def digest(self) -> str:
        """A hash of what the repair does."""
        found = hashlib.blake2b(f"{self.method} {self.drop}".encode(), digest_size=16)
        for patch in self.patches:
            found.update(patch.digest.encode())
        return found.hexdigest()

    @property
    def said(self) -> tuple[str, ...]:
        """What it is and what it was fitted on, then what was left as it is: sentences for beside the numbers."""
        return (
            f"Repaired by {self.method}, fitted on {self.tokens:,} tokens: {self.fitted_on}.",
            *self.notes,
        )

    @property
    def fitted_on(self) -> str:
        """The calibration texts in a few words."""
        return "other text" if self.choice is None else self.choice.fitted_on

    @property
    def parameters(self) -> int:
        """How many numbers a run reads more than without the repair; a refitted weight replaces the old one."""
        return sum(patch.extra_parameters for patch in self.patches)

    def check(self, drop: PruneSet) -> None:
        """Raise ``OptionError`` if this was fitted for another prune set."""
        if drop != self.drop:
            raise OptionError(
                f"The repair was fitted for the prune set {self.drop}, not for {drop or 'the dense model'}. Fit it "
                "again."
            )

    def on(self, anatomy: Anatomy) -> Anatomy:
        """A view of ``anatomy`` that runs with the repair, in the number type of its layers."""
        return patched(anatomy, self.patches)


def repaired(anatomy: Anatomy, drop: PruneSet, repair: Repair | None) -> Anatomy:
    """The anatomy that runs without ``drop``: with its repair, if there is one.

    Raises ``OptionError`` if the repair was fitted for another prune set.
    """
    if repair is None:
        return anatomy
    repair.check(drop)
    return repair.on(anatomy)
