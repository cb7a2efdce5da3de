"""``--without-massive``: what commands say about tokens with massive activations, and which results are kept apart."""

import pytest

from tests.cli.conftest import TEXT, WINDOWS
from tests.models.files import saved_loud

ANALYZE = ("--text", TEXT, *WINDOWS, "--metric", "bucket,cosine")


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """A model to which a comma is massive; there is one in each of the windows of the text but one."""
    path = tmp_path_factory.mktemp("loud")
    saved_loud(path)
    return path


def test_the_table_says_that_there_are_such_tokens_and_how_to_measure_without(entviz, loud):
    status, output, _ = entviz("analyze", *ANALYZE, model=loud)
    assert status == 0
    commas = sum("," in TEXT[start : start + 40] for start in (0, 40, 80))
    assert f"tokens of {commas} of 3 windows have massive activations, up to" in output
    assert "--without-massive measures without" in output
    status, output, errors = entviz("analyze", *ANALYZE, "--without-massive", model=loud)
    assert status == 0
    assert "Left out: " in errors
    assert "(“,”), up to" in errors
    assert "--without-massive" not in output


def test_json_has_the_tokens_and_other_numbers(entviz, loud, store):
    import json

    plain, without = (
        json.loads(entviz("analyze", *ANALYZE, *more, "--json", model=loud)[1])
        for more in ((), ("--without-massive",))
    )
    assert plain["massive"] == without["massive"]
    assert {row["text"] for row in plain["massive"]} == {","}
    assert [row["position"] + 40 * row["window"] for row in plain["massive"]] == [
        place for place, letter in enumerate(TEXT[:120]) if letter == ","
    ]
    some, other = (
        {row["site"]: row["value"] for row in each["sites"] if row["metric"] == "bucket"}
        for each in (plain, without)
    )
    assert all(other[site] > some[site] + 1 for site in some), "the range is no longer one token's"
    first, second = store.runs(kind="analysis")
    assert {first.options.get("without_massive"), second.options.get("without_massive")} == {None, True}


def test_a_window_that_keeps_too_few_tokens_is_said(entviz, loud):
    status, _, errors = entviz(
        *("analyze", "--text", TEXT, *WINDOWS, "--metric", "knn(k=39)", "--without-massive"), model=loud
    )
    assert status == 2
    assert "use longer windows or a smaller k, or measure with all tokens" in errors
    assert errors.count("\n") == 1
