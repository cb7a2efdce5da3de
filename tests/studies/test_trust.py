"""The question of which criterion to trust: the entropies that are judged, and the key of its result."""

import pytest

from entviz.errors import OptionError
from entviz.estimators import default_entropies
from entviz.store import Run
from entviz.studies import JudgeCriteria, TextSample
from entviz.studies.results import stored_options

SAMPLE = TextSample("smollm2-135m", "a text", 2, 64)
ALWAYS = {"windows": 2, "window_length": 64, "level": "attn", "model": "smollm2-135m"}


@pytest.mark.parametrize("estimators", [None, default_entropies(), default_entropies()[::-1]])
def test_the_usual_entropies_have_the_key_that_they_always_had(estimators):
    assert stored_options(JudgeCriteria(SAMPLE, "attn", estimators)) == ALWAYS


def test_other_entropies_are_named_in_one_order_and_a_page_can_ask_for_them():
    one, other = (
        JudgeCriteria(SAMPLE, "attn", names) for names in (("renyi", "knn( k = 5 )"), ("knn(k=5)", "renyi"))
    )
    assert one == other
    assert stored_options(one) == ALWAYS | {"estimators": list(one.estimators)}
    assert set(one.estimators) == {"renyi", "knn(k=5)"}


def test_what_is_no_entropy_is_refused():
    with pytest.raises(OptionError, match="'cosine' is not an entropy"):
        JudgeCriteria(SAMPLE, "attn", ("cosine",))


@pytest.mark.parametrize(
    ("options", "picked"),
    [
        ({}, list(default_entropies())),
        ({"estimators": ["matrix", "knn(k=5)"]}, ["knn", "matrix"]),
        ({"shell": {"estimators": ["renyi"]}}, ["renyi"]),
        ({"estimators": ["of a later version"]}, list(default_entropies())),
    ],
)
def test_the_picker_shows_the_entropies_that_a_run_judged(options, picked):
    run = Run("trust", "tiny", options=ALWAYS | options)
    assert JudgeCriteria.opened(run, "a text")["trust.estimators"] == picked


def test_a_page_takes_an_entropy_with_one_set_of_options():
    twice = Run("trust", "tiny", options=ALWAYS | {"estimators": ["knn", "knn(k=5)"]})
    assert not JudgeCriteria.found_by_page(twice)
    assert JudgeCriteria.found_by_page(Run("trust", "tiny", options=ALWAYS))
