"""The registry of studies by kind. A new study adds one line here."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from entviz.registry import Registry
from entviz.store import Store
from entviz.studies.analysis import Analyze
from entviz.studies.angles import MeasureAngles
from entviz.studies.block_damages import MeasureDamages
from entviz.studies.comparison import Compare
from entviz.studies.contrast import ContrastBlocks
from entviz.studies.evaluation import Evaluate
from entviz.studies.export import Export
from entviz.studies.generation import Generate
from entviz.studies.interactions import MeasurePairs
from entviz.studies.pruned_analysis import AnalyzePruned
from entviz.studies.ranking import Rank
from entviz.studies.repaired_evaluation import EvaluateRepaired
from entviz.studies.study import StoredStudy, Study
from entviz.studies.task_score import ScoreTask
from entviz.studies.token_damages import MeasureTokenDamages
from entviz.studies.trust import JudgeCriteria

STUDIES: Final[Registry[type[Study[Any]]]] = Registry(
    "a kind of study",
    (
        *(
            Analyze,
            AnalyzePruned,
            Evaluate,
            EvaluateRepaired,
            Compare,
            Generate,
            Rank,
            ScoreTask,
            ContrastBlocks,
            JudgeCriteria,
        ),
        *(MeasurePairs, MeasureDamages, MeasureTokenDamages, MeasureAngles, Export),
    ),
    attribute="kind",
)

SWEEP = "sweep"
# What is stored beside the results of studies, by kind, as ``module:name``.
RECORDS: Final[dict[str, str]] = {SWEEP: "entviz.studies.sweep_record:SweepRecord"}


def stored_studies() -> dict[str, type[StoredStudy[Any]]]:
    """The studies whose results are stored, by kind."""
    return {kind: study for kind, study in STUDIES.items() if issubclass(study, StoredStudy)}


def study_of(kind: str) -> type[StoredStudy[Any]] | None:
    """The study of a kind of stored result; None if this version has no such study."""
    return stored_studies().get(kind)


def title_of(kind: str) -> str:
    """The title of a kind; its name if this version has no such study."""
    return STUDIES[kind].title if kind in STUDIES else kind


def part_kinds() -> list[str]:
    """The kinds of stored parts of results, and of records of sweeps, which lists of runs do not show."""
    return [*(part for study in stored_studies().values() for part in study.parts), *RECORDS]


def result_type(kind: str) -> type | None:
    """The class of a kind of stored result; None for unknown kinds. It is imported here, because most need torch."""
    places = [
        study.result if study.kind == kind else study.parts.get(kind) for study in stored_studies().values()
    ]
    place = next((each for each in [*places, RECORDS.get(kind)] if each is not None), None)
    if place is None:
        return None
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found


def open_store(url: str | None = None, **options: Any) -> Store:
    """The store of results of studies; see :class:`entviz.store.Store` for the arguments."""
    return Store(result_type, url, **options)
