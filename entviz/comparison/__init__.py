"""Comparisons: of criteria, of prune sets, of blocks; a folder each, and the statistics that they share."""
