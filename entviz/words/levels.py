"""The names of kinds of blocks, and of the levels at which blocks are dropped.

kind_title("attn"), LEVEL_TITLES["attn"], level_nouns("attn", 1)     # ("Attention", "Attentions", "attention")
"""

from typing import Final

KIND_TITLES: Final[dict[str, str]] = {
    "layer": "Layer",
    "attn": "Attention",
    "mlp": "MLP",
    "embed": "Embedding",
}
# As a heading above several blocks, for example in a picker.
LEVEL_TITLES: Final[dict[str, str]] = {
    "layer": "Layers",
    "attn": "Attentions",
    "mlp": "MLPs",
    "attn+mlp": "Attn + MLP",
}
_NOUNS: Final[dict[str, tuple[str, str]]] = {
    "layer": ("layer", "layers"),
    "attn": ("attention", "attentions"),
    "mlp": ("MLP", "MLPs"),
    "attn+mlp": ("attention or MLP", "attentions and MLPs"),
}


def kind_title(kind: str) -> str:
    """The name of a kind of block, or of the embedding, for the screen."""
    return KIND_TITLES.get(kind, kind)


def level_nouns(level: str, count: int = 2) -> str:
    """The blocks of a level inside a sentence, ``count`` of them: "attention" or "attentions"."""
    one, many = _NOUNS[level]
    return one if count == 1 else many
