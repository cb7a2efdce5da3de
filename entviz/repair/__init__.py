"""Repairs in closed form: they put the residual stream right after the holes that dropped blocks leave."""
