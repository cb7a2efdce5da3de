"""The results of studies of one model, stored under keys that cover everything they depend on.

results = StudyResults(store, loaded)
results.put(study, windows.fingerprint, study.compute(material, progress))
results.get(study, windows.fingerprint)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from entviz.store import Run, result_key
from entviz.studies.code import code_of

if TYPE_CHECKING:
    from entviz.models import LoadedModel
    from entviz.part_cache import PartCache
    from entviz.store.keeping import Keeping
    from entviz.studies.study import StoredStudy

TEXT_BYTES = 2_000_000  # characters of a text that is kept with its result: as many as a page accepts


class StudyResults:
    """The stored results of one model.

    Args:
        store: the store; None to store nothing.
        loaded: the model.
        fresh: whether to compute everything again. Only the parts of a stopped study are then taken from the store.
    """

    def __init__(self, store: Keeping | None, loaded: LoadedModel, *, fresh: bool = False) -> None:
        self._store = store
        self._loaded = loaded
        self.fresh = fresh

    def parts_of(self, study: StoredStudy[Any]) -> PartCache:
        """The cache of a study's finished parts, from which a stopped study resumes."""
        from entviz.part_cache import NoPartCache

        return NoPartCache() if self._store is None else StoredParts(self._store, self._loaded, study)

    def get(self, study: StoredStudy[Any], tokens: str) -> Any:
        """A study's result, or None. ``tokens`` is the fingerprint of the model's input."""
        return None if self._store is None or self.fresh else self._store.get(self.key(study, tokens))

    def put(self, study: StoredStudy[Any], tokens: str, result: Any) -> str:
        """Store a result in place of its partial result. Returns its key."""
        key = self.key(study, tokens)
        self._put(key, study, result)
        if self._store is not None and study.parts:
            self._store.remove(self.unfinished_key(study, tokens))
        return key

    def put_unfinished(self, study: StoredStudy[Any], tokens: str, partial: Any) -> None:
        """Store a partial result, which a page can show after a restart. The next or the whole result replaces it."""
        if self._store is not None and not self.fresh:
            key = self.unfinished_key(study, tokens)
            self._store.remove(key)
            self._put(key, study, partial)

    def key(self, study: StoredStudy[Any], tokens: str) -> str:
        """The key of a result."""
        return self._key(study, tokens, stored_options(study))

    def unfinished_key(self, study: StoredStudy[Any], tokens: str) -> str:
        """The key of a partial result."""
        return self._key(study, tokens, stored_options(study) | {"finished": False})

    def text_of(self, study: StoredStudy[Any]) -> str | None:
        """The text stored with a result; None if the sample is token ids or the text is too long for a page."""
        too_long = len(study.text.encode()) > TEXT_BYTES
        return None if too_long or "token_ids" in study.shell_options() else study.text

    def _key(self, study: StoredStudy[Any], tokens: str, options: Mapping[str, Any]) -> str:
        fingerprint = self._loaded.fingerprint
        return result_key(study.kind, code=code_of(study), model=fingerprint, tokens=tokens, options=options)

    def _put(self, key: str, study: StoredStudy[Any], result: Any) -> None:
        if self._store is not None:
            self._store.put(key, run_of(study, self._loaded, result), result, text=self.text_of(study))


class StoredParts:
    """A cache of parts of results in a store. Each part is written before the next begins."""

    def __init__(self, store: Keeping, loaded: LoadedModel, study: StoredStudy[Any]) -> None:
        self._store, self._code = store, code_of(study)
        self._name, self._fingerprint = loaded.name, loaded.fingerprint

    def get(self, kind: str, tokens: str, options: Mapping[str, Any]) -> Any:
        return self._store.get(self._key(kind, tokens, options))

    def put(self, kind: str, tokens: str, options: Mapping[str, Any], part: Any) -> None:
        run = Run(kind, self._name, self._fingerprint, "part of a result", dict(options))
        self._store.put(self._key(kind, tokens, options), run, part)

    def _key(self, kind: str, tokens: str, options: Mapping[str, Any]) -> str:
        return result_key(kind, code=self._code, model=self._fingerprint, tokens=tokens, options=options)


def stored_options(study: StoredStudy[Any]) -> dict[str, Any]:
    """Everything that a study's result depends on besides the model and its input, as plain data."""
    shell = study.shell_options()
    return study.options() | {"model": study.model} | ({"shell": shell} if shell else {})


def run_of(study: StoredStudy[Any], loaded: LoadedModel, result: Any) -> Run:
    """The entry of a result in the list of runs."""
    return Run(
        kind=study.kind,
        model=study.model,
        fingerprint=loaded.fingerprint,
        description=study.describe(),
        options=stored_options(study),
        summary=study.summarize(result),
    )
