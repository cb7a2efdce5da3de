"""The generation config of an exported model: the model's own, without settings that transformers refuses to write.

    config, note = valid_generation_config(model.generation_config)

Many published configs have settings that contradict each other, such as a temperature without sampling. Only those are
left out. All others, including the tokens at which a chat model stops, are kept.
"""

from __future__ import annotations

import copy
from typing import Any


def valid_generation_config(given: Any) -> tuple[Any, str]:
    """A copy of a generation config that transformers can write, and a sentence about the settings left out, or "".

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
    # Whether a setting is valid may depend on a later one, so this repeats until no further setting can be added.
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
    except (ValueError, TypeError, AttributeError):  # the last two if a value has a wrong type
        return False
    return True


def _spelled(name: str, value: Any) -> str:
    # Only numbers, because the value goes into the model card and a text here comes from the model's author.
    return f"{name} {value}" if isinstance(value, (int, float)) else name
