"""Studies: questions about a model, as plain data. One file for each kind, one registry.

    sample = TextSample("smollm2-135m", text, windows=4, window_length=128)
    study = Evaluate(sample, PruneSet.parse("attn.5,layer.7"))
    runtime().ask(study, session)          # on a page: a job
    runner.run_now(study, progress)        # in a shell: the result

Each kind defines how it is computed, stored, listed, opened on a page and reported. Reading a study does not import
torch.
"""

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
from entviz.studies.ranking import Rank, RankingOptions
from entviz.studies.registry import STUDIES, result_type, stored_studies, study_of
from entviz.studies.repaired_evaluation import EvaluateRepaired
from entviz.studies.samples import Loading, ModelAlone, Prompt, TaskItems, TextSample, TokenIds
from entviz.studies.study import Basis, Material, Page, StoredStudy, Study
from entviz.studies.task_score import ScoreTask
from entviz.studies.token_damages import MeasureTokenDamages
from entviz.studies.trust import JudgeCriteria

__all__ = [
    "STUDIES",
    "Analyze",
    "AnalyzePruned",
    "Basis",
    "Compare",
    "ContrastBlocks",
    "Evaluate",
    "EvaluateRepaired",
    "Export",
    "Generate",
    "JudgeCriteria",
    "Loading",
    "Material",
    "MeasureAngles",
    "MeasureDamages",
    "MeasurePairs",
    "MeasureTokenDamages",
    "ModelAlone",
    "Page",
    "Prompt",
    "Rank",
    "RankingOptions",
    "ScoreTask",
    "StoredStudy",
    "Study",
    "TaskItems",
    "TextSample",
    "TokenIds",
    "result_type",
    "stored_studies",
    "study_of",
]
