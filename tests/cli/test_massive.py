"""``--without-massive``: what commands say about tokens with massive activations, and which results are kept apart."""

import json

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
    assert "What changes without massive tokens." in output
    assert "turning point, without" in output


def test_what_changes_is_what_separate_commands_say(entviz, loud):
    def answer(*arguments):
        return json.loads(entviz(*arguments, "--json", model=loud)[1])

    text = ("--text", TEXT, *WINDOWS)
    found = answer("analyze", *ANALYZE, "--without-massive")["changes"]
    assert [change["metric"] for change in found] == ["bucket", "cosine"]
    for change, criterion in zip(found, ("entrodrop:bucket", "cosine"), strict=True):
        for key, more in (("chosen", ()), ("chosen_without", ("--without-massive",))):
            rank = ("rank", *text, "--criterion", criterion, "--level", "attn", *more)
            budget = ("--budget", str(len(change[key])))
            assert set(change[key]) == set(answer(*rank, *budget)["drop"])
    bucket, cosine = found
    assert cosine["chosen"]
    assert (cosine["turning_point"], cosine["turning_point_without"]) == (None, None)
    for key, more in (("turning_point", ()), ("turning_point_without", ("--without-massive",))):
        sites = answer("analyze", *ANALYZE, *more)["sites"]
        curve = {site["site"]: site["value"] for site in sites if not site["site"].startswith("attn")}
        lowest = min(curve, key=curve.get)
        last = f"layer.{len(curve) - 2}"
        inside = lowest not in ("embed", "layer.0", last)
        assert bucket[key] == (int(lowest.partition(".")[2]) if inside else None)
    pruned = answer("analyze", *ANALYZE, "--without-massive", "--drop", "attn.1")["changes"]
    assert not any(change["chosen"] for change in pruned), "what is dropped already would come first"


def test_where_no_token_is_massive_that_is_said(entviz):
    status, output, _ = entviz("analyze", *ANALYZE, "--without-massive")
    assert status == 0
    assert "No token has massive activations here, so nothing changes without." in output


def test_json_has_the_tokens_and_other_numbers(entviz, loud, store):
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
