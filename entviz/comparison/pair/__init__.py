"""Two prune sets side by side."""
