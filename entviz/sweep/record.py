"""The record of a sweep in the store: its rows so far, for a page and for whoever asks later.

Record(config, store).write(table)
records(store)[0].rows                # of the sweep that was written last
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entviz.store import Run, Store, request_key
from entviz.studies.registry import SWEEP
from entviz.studies.sweep_record import SweepRecord
from entviz.sweep.config import SweepConfig
from entviz.sweep.table import DONE, FAILED, MISSING, SweepTable

_LISTED = 50


class Record:
    """Writes how far a sweep is. A later sweep of the same file content replaces its record."""

    def __init__(self, config: SweepConfig, store: Store) -> None:
        self._config, self._store, self._about = config, store, config.about()
        text = config.calibration.text
        self._key = request_key(SWEEP, code="", model=config.name, text=text, options=self._about)

    def write(self, table: SweepTable) -> None:
        """Write the rows as they are now."""
        counts, plain = table.counts(), table.to_json()
        run = Run(
            kind=SWEEP,
            model=self._config.models[0],
            description=self._config.name,
            options=self._about,
            summary=plain,
        )
        record = SweepRecord(self._config.name, counts[DONE], counts[FAILED], counts[MISSING])
        self._store.remove(self._key)
        self._store.put(self._key, run, record)


@dataclass(frozen=True)
class Recorded:
    """A sweep as its record has it.

    Attributes:
        key: the record's key in the store.
        name: what lists call it.
        updated: when it was written, in seconds since 1970, UTC.
        options: what it measures, as plain data.
        cells: how many cells are done, failed and missing.
        rows: as :meth:`entviz.sweep.table.Row.to_json` gives them.
    """

    key: str
    name: str
    updated: float
    options: Mapping[str, Any]
    cells: Mapping[str, int]
    rows: list[dict[str, Any]]


def records(store: Store) -> list[Recorded]:
    """The sweeps of which the store has a record, the last written first."""
    return [
        Recorded(
            run.key,
            run.description,
            run.created,
            run.options,
            run.summary.get("cells", {}),
            list(run.summary.get("rows", [])),
        )
        for run in store.runs(kind=SWEEP, limit=_LISTED)
    ]
