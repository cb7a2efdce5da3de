"""Criteria as text: read, written, and refused with a sentence."""

import pytest

from entviz.criteria import CRITERIA, Cosine, EntroDrop
from entviz.criteria.baselines import Random
from entviz.criteria.search import Search
from entviz.criteria.spec import criterion_of, parts, spec_of
from entviz.errors import OptionError


@pytest.mark.parametrize(
    ("written", "meant", "canonical"),
    [
        ("entrodrop", EntroDrop(), "entrodrop:knn"),
        ("entrodrop:bucket", EntroDrop("bucket"), "entrodrop:bucket"),
        ("entrodrop:knn(k=5)", EntroDrop("knn(k=5)"), "entrodrop:knn(k=5)"),
        ("entrodrop:knn( k = 25 ):stage-2", EntroDrop("knn", 2), "entrodrop:knn:stage-2"),
        (
            "entrodrop:renyi:stage-2:iterative",
            EntroDrop("renyi", 2, iterative=True),
            "entrodrop:renyi:iterative:stage-2",
        ),
        ("cosine:iterative", Cosine(iterative=True), "cosine:iterative"),
        ("random:seed=3", Random(3), "random:seed=3"),
        ("random:seed=0", Random(), "random"),
        ("search:seconds=30", Search(30.0), "search:seconds=30.0"),
        ("entrodrop:knn:stage=2", EntroDrop("knn", 2), "entrodrop:knn:stage-2"),
    ],
)
def test_a_spec_reads_as_what_it_says_and_has_one_form(written, meant, canonical):
    found, more = criterion_of(written)
    assert (found, more) == (meant, ())
    assert spec_of(found) == canonical
    assert criterion_of(canonical)[0] == meant


def test_every_criterion_and_every_switch_has_a_form():
    for name, kind in CRITERIA.items():
        assert criterion_of(name)[0] == kind()
        for switch in kind.switches():
            one = kind(**{switch.name: switch.on})
            assert criterion_of(spec_of(one))[0] == one
            assert switch.word in parts(spec_of(one))[2]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("magic", "'magic' is not a criterion: choose from entrodrop"),
        ("entrodrop:cosine", "where 'cosine' stands, entrodrop takes an entropy: bucket, knn"),
        ("entrodrop::stage-2", "takes an entropy"),
        (
            "entrodrop:knn:stage-3",
            "where 'stage-3' stands, entrodrop takes iterative, without-massive, stage-2",
        ),
        ("cosine:knn", "where 'knn' stands, cosine takes iterative"),
        ("cosine::iterative", "where '' stands"),
        ("last:iterative", "last takes nothing"),
        ("random:seed=many", "'many' is no value for seed of random, which is usually 0"),
        ("random:seed=" + "9" * 5000, "is no value for seed"),
        ("cosine:iterative=1", "no value for iterative"),
        ("entrodrop:knn:estimator=renyi", "where 'estimator=renyi' stands"),
        ("search:seconds=nan", "cannot take nan seconds"),
        ("entrodrop:knn:stage=7", "Stage 7"),
    ],
)
def test_what_cannot_be_read_says_so(written, says):
    with pytest.raises(OptionError, match=says):
        criterion_of(written)


def test_a_spec_of_another_version_still_has_parts():
    assert parts("entrodrop:knn:later:stage-2") == ("entrodrop", "knn", ("later", "stage-2"))
    assert parts("gone:knn(k=5):stage-2") == ("gone", "knn(k=5)", ("stage-2",))
    assert parts("gone:iterative") == ("gone", "", ("iterative",))
