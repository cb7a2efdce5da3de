"""The key under which a study's result is found before its model is loaded."""

from __future__ import annotations

from typing import Any

from entviz.runtime.identity import model_identity
from entviz.store import request_key
from entviz.studies.code import code_of
from entviz.studies.results import stored_options
from entviz.studies.study import StoredStudy


def asked_key(study: StoredStudy[Any]) -> tuple[str, str | None]:
    """The key under which a result is found without its model, and the model's identity if it is on this machine."""
    identity = model_identity(study.model)
    options = stored_options(study)
    key = request_key(
        study.kind, code=code_of(study), model=identity or "unknown", text=study.text, options=options
    )
    return key, identity
