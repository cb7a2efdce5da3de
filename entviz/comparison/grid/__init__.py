"""Criteria by budgets: what each prune set costs and saves on text it was not chosen on."""
