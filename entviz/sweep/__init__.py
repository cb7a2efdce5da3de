"""Sweeps: models by criteria by levels by budgets by repairs, measured on texts and tasks, on one machine or many.

    config = read_config("sweep.yaml")
    table = sweep(config, open_store())          # in this process
    table = sweep(config, open_store(), crew=RayCrew(config, workers=4))

A cell is a question that entviz can already answer alone: what the blocks that a criterion chooses for a budget cost on
a text or a task. It is stored under the key of that question, so pages, commands and other sweeps find it, and a sweep
that was stopped goes on with the cells that are missing.
"""
