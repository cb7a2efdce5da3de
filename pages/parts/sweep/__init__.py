"""The pieces of the Sweep page."""
