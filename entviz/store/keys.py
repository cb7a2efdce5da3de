"""The names under which results are kept: hashes of everything that a result depends on."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from entviz.version import __version__

# Directories of entviz that have no part in what a figure's number is.
_NO_PART = ("cli", "export", "figures", "passages", "report", "runtime", "store", "studies")


@cache
def program() -> str:
    """What computes: entviz's version with a digest of its source, and the versions of torch and transformers.

    The digest is there because a version number does not change with every correction, and a result of before the
    correction must not be shown after it.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in _NO_PART:
            digest.update(f"{place}\0".encode() + path.read_bytes())
    names = [f"entviz {__version__}+{digest.hexdigest()[:12]}"]
    for package in ("torch", "transformers"):
        try:
            names.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            names.append(f"{package} of unknown version")
    return ", ".join(names)


def result_key(kind: str, *, model: str, tokens: str, options: Mapping[str, Any]) -> str:
    """The key of a result.

    Args:
        kind: analysis, evaluation ...
        model: the model's fingerprint.
        tokens: the fingerprint of the token ids that go through it.
        options: whatever else the result depends on, as plain data.
    """
    return _hash("result", program(), kind, model, tokens, dict(options))


def request_key(kind: str, *, model: str, text: str, options: Mapping[str, Any]) -> str:
    """The key of a request for a result, from what is known before a model is loaded or a text is tokenized.

    Args:
        model: what identifies the model's files.
        text: the text itself.
    """
    return _hash("request", program(), kind, model, text, dict(options))


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]
