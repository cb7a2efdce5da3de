"""Criteria: rules that choose which blocks to drop. One file each, one registry.

    from entviz.criteria import CRITERIA, rank
    rank(loaded, windows, "entrodrop", estimator="knn", level="attn", budget=8).drop
    rank(loaded, windows, "search", level="attn", budget="20% parameters", seconds=120).drop

Reading the registry does not import torch.
"""

from entviz.criteria.choosing import rank, rank_by_analysis
from entviz.criteria.cosine import Cosine
from entviz.criteria.criterion import ByAnalysis, Criterion
from entviz.criteria.entropy import EntroDrop
from entviz.criteria.registry import CRITERIA, criterion, known, level_of

__all__ = [
    "CRITERIA",
    "ByAnalysis",
    "Cosine",
    "Criterion",
    "EntroDrop",
    "criterion",
    "known",
    "level_of",
    "rank",
    "rank_by_analysis",
]
