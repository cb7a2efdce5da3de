"""How many blocks can be asked for on the Prune page, without opening it."""

import pytest

from entviz.criteria.ranking import free_blocks, ranking_in_order, score_table
from pages.parts.prune import criteria


@pytest.mark.parametrize(
    ("level", "protect", "most"),
    [("attn", None, 6), ("attn", (2, 1), 3), ("layer", None, 5), ("attn+mlp", None, 11), ("mlp", (9, 9), 0)],
)
def test_more_can_be_asked_for_than_a_criterion_has_ordered(level, protect, most):
    choice = criteria.RankingChoices("sleb", "knn", level, 1, protect, (), ())
    table = score_table(6, level, {}, protect or (0, 0))
    ranking = ranking_in_order(
        "sleb", free_blocks(table)[:1], table, 0
    )  # chosen one by one, no further than asked
    assert criteria.most_to_drop(choice, ranking, 6) == most
    assert criteria.most_to_drop(choice, None, 6) == most, "the field does not change while it is measured"
