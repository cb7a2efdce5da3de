"""The formats by name, in the order in which they are offered."""

from entviz.errors import ExportError
from entviz.export import hf, llama_cpp, llm_drop, mergekit, recipe_format
from entviz.export.order import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (hf, recipe_format, mergekit, llama_cpp, llm_drop)
}


def get_format(name: str) -> Format:
    """The format of that name; raises ``ExportError`` where there is none."""
    if name not in FORMATS:
        raise ExportError(f"There is no format '{name[:40]}': choose one of {', '.join(FORMATS)}.")
    return FORMATS[name]
