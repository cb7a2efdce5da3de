"""Exporting a pruned model: one file for each format, one registry.

    from entviz.export import FORMATS, export
    found = export(loaded, PruneSet.parse("attn.5,layer.7"), "hf", Path("smaller"))
    found.directory, found.files, found.check      # loaded back, and compared with entviz's own numbers
    print(found.loading)                           # the lines that load it

    from entviz.export.recipe import read_recipe   # a prune set from a recipe.json

Importing the package imports neither torch nor transformers.
"""

from entviz.export.exporting import export
from entviz.export.registry import FORMATS
from entviz.export.request import Check, Exported, Format

__all__ = ["FORMATS", "Check", "Exported", "Format", "export"]
