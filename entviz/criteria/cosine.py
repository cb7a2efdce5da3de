"""Criteria by cosine similarity: drop the blocks whose output is most similar to their input."""

from __future__ import annotations

from dataclasses import dataclass

from entviz.criteria.criterion import ByAnalysis
from entviz.estimators.cosine import CosineImportance


@dataclass(frozen=True)
class Cosine(ByAnalysis):
    """Drop the block whose output is most similar to its input first (LLM-Drop, He et al. 2024, equation 1)."""

    name = "cosine"
    title = "Cosine (LLM-Drop)"
    short_title = "Cosine"
    source = "He et al. 2024, arXiv:2406.15786"
    score_title = "1 − cosine similarity"

    @property
    def metric(self) -> str:
        return CosineImportance().spec


@dataclass(frozen=True)
class BlockInfluence(Cosine):
    """The same measure for whole layers (ShortGPT, Men et al. 2024, equation 1)."""

    name = "block-influence"
    title = "Block Influence (ShortGPT)"
    short_title = "Block Influence"
    source = "Men et al. 2024, arXiv:2403.03853"
    level = "layer"
    score_title = "Block Influence: 1 − cosine similarity"
