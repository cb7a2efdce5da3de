"""The source under which a study's result is stored is exactly the source that computes it."""

import pytest

from entviz.store.source import imported
from entviz.studies import TextSample, stored_studies
from entviz.studies.code import entry_modules

# Some of what computes each kind.
COMPUTED_BY = {
    "analysis": "estimators.knn",
    "pruned analysis": "decoder.running",
    "evaluation": "evaluation.scoring",
    "token damages": "comparison.damages.token_damages",
    "block damages": "comparison.damages.block_damages",
    "repaired evaluation": "repair.moments",
    "comparison": "criteria.prune_set_search",
    "generation": "evaluation.generation",
    "ranking": "criteria.greedy",
    "score": "evaluation.choices",
    "contrast": "comparison.pair.pair",
    "trust": "comparison.trust.trust",
    "interactions": "comparison.interactions.interactions",
    "angles": "criteria.angular",
}


def test_every_kind_is_here():
    assert set(COMPUTED_BY) == set(stored_studies())


@pytest.mark.parametrize("kind", COMPUTED_BY)
def test_what_computes_a_kind_counts_and_what_shows_it_does_not(kind):
    found = imported(entry_modules((stored_studies()[kind], TextSample)))
    assert f"entviz.{COMPUTED_BY[kind]}" in found
    assert {"entviz.models.loading", "entviz.decoder.anatomy", "entviz.text.beginning"} <= found
    shown = ("figures", "lessons", "report", "cli", "runtime", "studies", "store", "words")
    assert not {one for one in found if one.split(".")[1] in shown}
