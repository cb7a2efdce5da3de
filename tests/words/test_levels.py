"""Every level has a title and its nouns."""

from entviz.criteria.ranking import LEVELS
from entviz.words.levels import LEVEL_TITLES, kind_title, level_nouns


def test_every_level_is_called_something():
    assert set(LEVEL_TITLES) == set(LEVELS)
    assert [level_nouns(level) for level in LEVELS] == ["layers", "attentions", "MLPs", "attentions and MLPs"]
    assert [level_nouns(level, 1) for level in LEVELS] == ["layer", "attention", "MLP", "attention or MLP"]


def test_a_kind_without_a_title_is_called_by_its_name():
    assert (kind_title("embed"), kind_title("mixer")) == ("Embedding", "mixer")
