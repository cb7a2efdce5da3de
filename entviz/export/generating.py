"""How an exported model generates: its own generation config, without what transformers refuses to write.

    config, note = valid_generation_config(model.generation_config)

Many published configs have settings that do not go together, such as a temperature without sampling. Those alone are
left out: the rest, the tokens at which a chat model stops among them, is kept.
"""

from __future__ import annotations

import copy
from typing import Any


def valid_generation_config(given: Any) -> tuple[Any, str]:
    """A copy of a generation config that transformers writes, and a sentence on what it lacks, or an empty one.

    ``given`` is a ``transformers.GenerationConfig`` or None, and is not changed.
    """
    config = copy.deepcopy(given)
    if config is None or _is_valid(config):
        return config, ""
    usual = vars(type(config)())
    left = {
        name: value
        for name, value in vars(config).items()
        if not name.startswith("_") and (name not in usual or value != usual[name])
    }
    for name in left:
        _reset(config, name, usual)
    # Whether a setting will do may depend on one that comes later, so until none more can be taken.
    while taken := [name for name in left if _takes(config, name, left[name], usual)]:
        for name in taken:
            del left[name]
    settings = ", ".join(_spelled(name, value) for name, value in left.items())
    return config, (
        f"The generation config is without {settings}: transformers refuses to write that beside its other settings. "
        "Those are as they were."
    )


def _takes(config: Any, name: str, value: Any, usual: dict[str, Any]) -> bool:
    """Set a value if the config stays valid with it."""
    setattr(config, name, value)
    if _is_valid(config):
        return True
    _reset(config, name, usual)
    return False


def _reset(config: Any, name: str, usual: dict[str, Any]) -> None:
    if name in usual:
        setattr(config, name, usual[name])
    else:
        delattr(config, name)


def _is_valid(config: Any) -> bool:
    try:
        config.validate(strict=True)
    except (ValueError, TypeError, AttributeError):  # the last two where a value is of a wrong type
        return False
    return True


def _spelled(name: str, value: Any) -> str:
    # Numbers only: a text here is someone else's, and goes into the model card.
    return f"{name} {value}" if isinstance(value, (int, float)) else name
