"""Comparisons of criteria, of prune sets and of blocks. Each kind has its own folder."""
