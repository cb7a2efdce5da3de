import pytest

from entviz.errors import OptionError
from entviz.estimators import (
    METRICS,
    canonical,
    default_metrics,
    entropy_of,
    is_entropy,
    metric_of,
    specs_in_order,
    split,
    with_defaults,
)
from entviz.estimators.bucket import Bucket
from entviz.estimators.knn import NearestNeighbours
from entviz.estimators.renyi import Renyi


@pytest.mark.parametrize(
    ("written", "metric", "spec"),
    [
        ("knn", NearestNeighbours(), "knn"),
        ("knn()", NearestNeighbours(), "knn"),
        (" knn( k = 25 ) ", NearestNeighbours(), "knn"),
        ("knn(k=5)", NearestNeighbours(5), "knn(k=5)"),
        ("knn(k=+005)", NearestNeighbours(5), "knn(k=5)"),
        ("bucket(buckets=40)", Bucket(40), "bucket(buckets=40)"),
        ("renyi(alpha=2)", Renyi(2.0), "renyi(alpha=2)"),
        ("renyi(alpha=2.0)", Renyi(2.0), "renyi(alpha=2)"),
        ("renyi(alpha=4)", Renyi(), "renyi"),
        ("renyi(alpha=.1)", Renyi(0.1), "renyi(alpha=0.1)"),
        ("renyi(alpha=1e-9)", Renyi(1e-9), "renyi(alpha=1e-09)"),
    ],
)
def test_a_spec_is_a_metric_and_has_one_canonical_form(written, metric, spec):
    assert metric_of(written) == metric
    assert metric.spec == canonical(written) == canonical(spec) == spec
    assert metric_of(metric) is metric


@pytest.mark.parametrize("name", METRICS)
def test_a_plain_name_is_its_own_spec_so_that_keys_of_stored_results_stay(name):
    assert canonical(name) == name


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "'' is not a metric: choose from bucket, knn, renyi, matrix, cosine"),
        ("nkn(k=5)", "'nkn' is not a metric"),
        ("knn)", "is not a metric"),
        ("knn(k=5", r"'knn\(k=5' has an unbalanced parenthesis: write knn\(k=25\)"),
        ("knn(k=5))", "unbalanced parenthesis"),
        ("knn((k=5)", "unbalanced parenthesis"),
        ("knn(k=5)x", "unbalanced parenthesis"),
        ("knn(5)", r"has '5' without a value: write knn\(k=25\)"),
        ("knn(k=5,)", "has '' without a value"),
        ("knn(k=5,k=6)", "has 'k' twice"),
        ("knn(q=5)", "no option 'q'; its options are k"),
        ("matrix(k=5)", "no option 'k'; it has none"),
        ("knn(k=0)", "k must be a whole number from 1 to 65536, not 0"),
        ("knn(k=2.5)", "whole number"),
        ("knn(k=5e0)", "whole number"),
        ("knn(k=٥)", "whole number"),
        ("renyi(alpha=x)", "alpha must be a number above 0 and at most 10, not 'x'"),
        ("renyi(alpha=nan)", "above 0"),
        ("renyi(alpha=1e999)", "above 0"),
        ("renyi(alpha=0)", "above 0 and at most 10, not 0"),
    ],
)
def test_what_cannot_be_read_is_told_what_to_write(written, message):
    with pytest.raises(OptionError, match=message):
        metric_of(written)


@pytest.mark.parametrize("written", [f"knn(k={'9' * 400})", f"knn(k={'9' * 5000})", "x" * 5000, "(" * 5000])
def test_a_long_one_makes_no_long_sentence(written):
    with pytest.raises(OptionError) as told:
        metric_of(written)
    assert len(str(told.value)) < 200


def test_commas_between_parentheses_separate_nothing():
    assert split(" bucket, knn(k=5,j=6) ,,entrodrop:knn(k=5):stage-2") == (
        "bucket",
        "knn(k=5,j=6)",
        "entrodrop:knn(k=5):stage-2",
    )
    assert split("knn(k=5,cosine") == ("knn(k=5", "cosine")


def test_titles_show_options_that_are_not_the_usual_ones():
    assert metric_of("knn").titled() == "KNN"
    assert metric_of("knn(k=5)").titled() == "KNN, k = 5"
    assert metric_of("knn(k=5)").titled("entropy") == "KNN entropy (k = 5)"
    assert metric_of("matrix").titled("entropy increase", sentence=True) == "matrix entropy increase"
    assert "k = 5:" in metric_of("knn(k=5)").description


def test_specs_have_one_order_and_stand_in_for_the_plain_ones():
    assert default_metrics() == ("bucket", "knn", "renyi", "cosine")
    assert specs_in_order(["matrix", "cosine", "knn(k=5)", "knn", "knn( k=5 )"]) == (
        "knn",
        "knn(k=5)",
        "cosine",
        "matrix",
    )
    assert with_defaults([]) == default_metrics()
    assert with_defaults(["renyi"]) == default_metrics()
    assert with_defaults(["matrix", "knn(k=5)"]) == ("bucket", "knn(k=5)", "renyi", "cosine", "matrix")


def test_entropies_are_told_from_other_metrics():
    assert is_entropy("knn(k=5)")
    assert not is_entropy("cosine")
    assert not is_entropy("depth")
    assert entropy_of("knn(k=5)") == NearestNeighbours(5)
    with pytest.raises(
        OptionError, match="'cosine' is not an entropy: choose from bucket, knn, renyi, matrix"
    ):
        entropy_of("cosine")
