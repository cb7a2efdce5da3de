"""The registry of formats by name, in the order in which they are offered. A new format adds one line here."""

from entviz.errors import ExportError
from entviz.export import hf, llama_cpp, llm_drop, mergekit, recipe_format
from entviz.export.request import Format
from entviz.registry import Registry

FORMATS: Registry[Format] = Registry(
    "an export format",
    (module.FORMAT for module in (hf, recipe_format, mergekit, llama_cpp, llm_drop)),
    ExportError,
)
