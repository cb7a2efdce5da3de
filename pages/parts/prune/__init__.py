"""The parts of the Prune page."""
