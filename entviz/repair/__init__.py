"""Repairs in closed form: what puts the residual stream right after the holes that dropped blocks leave."""

from entviz.repair.fitting import fit
from entviz.repair.registry import METHODS
from entviz.repair.repair import Fit, Repair

__all__ = ["METHODS", "Fit", "Repair", "fit"]
