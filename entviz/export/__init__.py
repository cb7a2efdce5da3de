"""Taking a pruned model away: one file a format, one registry.

from entviz.export.recipe import read_recipe     # needs neither torch nor transformers
"""
