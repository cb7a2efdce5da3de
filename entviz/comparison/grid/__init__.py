"""Criteria by budgets: what each prune set costs and saves on text that was not used to choose it."""
