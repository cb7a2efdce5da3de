"""The keys under which results are stored: hashes of everything that a result depends on."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from entviz.version import __version__


@cache
def program() -> str:
    """The program that computes: the versions of entviz, torch and transformers."""
    names = [f"entviz {__version__}"]
    for package in ("torch", "transformers"):
        try:
            names.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            names.append(f"{package} of unknown version")
    return ", ".join(names)


def result_key(kind: str, *, code: str, model: str, tokens: str, options: Mapping[str, Any]) -> str:
    """The key of a result.

    Args:
        kind: analysis, evaluation ...
        code: a hash of the source that computes it; see :mod:`entviz.store.source`.
        model: the model's fingerprint.
        tokens: the fingerprint of the token ids of the model's input.
        options: everything else that the result depends on, as plain data.
    """
    return _hash("result", program(), code, kind, model, tokens, dict(options))


def request_key(kind: str, *, code: str, model: str, text: str, options: Mapping[str, Any]) -> str:
    """The key of a request for a result, which is known before a model is loaded or a text is tokenized.

    Args:
        code: as for :func:`result_key`.
        model: the identity of the model's files.
        text: the text itself.
    """
    return _hash("request", program(), code, kind, model, text, dict(options))


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]
