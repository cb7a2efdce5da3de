"""``entviz analyze``: the JSON that others read, and the table that people read."""

import pytest

from entviz.blocks import all_blocks, site_names
from tests.cli.conftest import LAYERS, TEXT, WINDOWS


def test_json(answer, directory):
    found = answer("analyze", "--text", TEXT, *WINDOWS)
    assert list(found) == ["model", "windows", "window_length", "sites", "blocks"]
    assert (found["model"], found["windows"], found["window_length"]) == (str(directory), 3, 40)
    for part, name, names, metrics in (
        ("sites", "site", site_names(LAYERS), ("bucket", "knn", "renyi")),
        ("blocks", "block", [*map(str, all_blocks(LAYERS))], ("bucket", "knn", "renyi", "cosine")),
    ):
        rows = found[part]
        assert [(row["metric"], row[name]) for row in rows] == [(m, n) for m in metrics for n in names]
        for row in rows:
            assert set(row) == {name, "metric", "value", "per_window"}
            assert len(row["per_window"]) == 3
            assert row["value"] == pytest.approx(sum(row["per_window"]) / 3)


def test_a_block_s_value_is_its_entropy_increase(answer):
    found = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket")
    entropy = {row["site"]: row["per_window"] for row in found["sites"]}
    increase = {row["block"]: row["per_window"] for row in found["blocks"]}
    for block, before, after in (
        ("attn.0", "embed", "attn.0"),
        ("mlp.0", "attn.0", "layer.0"),
        ("layer.2", "layer.1", "layer.2"),
    ):
        wanted = [late - early for early, late in zip(entropy[before], entropy[after], strict=True)]
        assert increase[block] == pytest.approx(wanted)


def test_metrics_and_levels_are_those_asked_for(answer):
    found = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "cosine,bucket", "--level", "layer")
    assert {row["block"] for row in found["blocks"]} == {f"layer.{i}" for i in range(LAYERS)}
    assert {row["metric"] for row in found["blocks"]} == {"cosine", "bucket"}
    assert {row["metric"] for row in found["sites"]} == {"bucket"}
    everywhere = answer("analyze", "--text", TEXT, *WINDOWS, "--metric", "cosine,bucket")
    values = {(row["block"], row["metric"]): row["value"] for row in everywhere["blocks"]}
    for row in found["blocks"]:  # running layers whole or in halves is the same
        assert row["value"] == pytest.approx(values[row["block"], row["metric"]], rel=1e-4, abs=1e-4)


def test_table(entviz):
    status, output, _ = entviz("analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket,cosine")
    assert status == 0
    assert "3 windows of 40 tokens" in output
    assert "Entropy at each site (nats)" in output
    assert "Turning point by bucket: layer" in output
    assert all(name in output for name in [*site_names(LAYERS), *map(str, all_blocks(LAYERS))])


def test_an_option_changes_the_plain_name_and_may_be_written_in_the_metric(answer):
    asked = ["analyze", "--text", TEXT, *WINDOWS, "--level", "layer", "--metric"]
    found = answer(*asked, "knn,bucket(buckets=40),cosine", "--knn-k", "5")
    assert list(dict.fromkeys(row["metric"] for row in found["blocks"])) == [
        "bucket(buckets=40)",
        "knn(k=5)",
        "cosine",
    ], "in one order, as it makes no difference"
    assert answer(*asked, "knn(k=5),bucket(buckets=40),cosine") == found
    plain = answer(*asked, "knn")
    assert answer(*asked, "knn(k=25)") == answer(*asked, "knn", "--knn-k", "25") == plain
    assert plain["sites"][0]["value"] not in {row["value"] for row in found["sites"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "knn", "--knn-k", "0"], "k must be a whole number from 1 to 65536, not 0."),
        (["--metric", "knn", "--knn-k", "9" * 400], "k must be a whole number from 1 to 65536, not '999"),
        (["--metric", "knn", "--knn-k", "40"], "at least 41 tokens in a window; these windows have 40"),
        (
            ["--metric", "renyi", "--renyi-alpha", "x"],
            "alpha must be a number above 0 and at most 10, not 'x'",
        ),
        (["--metric", "knn(k=5"], "unbalanced parenthesis"),
        (["--metric", "knn(q=5)"], "no option 'q'; its options are k"),
        (["--metric", "cosine", "--knn-k", "5"], "--knn-k is for knn, which is not among cosine"),
        (["--metric", "knn(k=4)", "--knn-k", "5"], "knn(k=4) has options of its own"),
    ],
)
def test_a_bad_option_is_a_sentence(wrong, arguments, message):
    said = wrong("analyze", "--text", TEXT, *WINDOWS, *arguments)
    assert message in said
    assert len(said) < 300


def test_the_pruned_models_stream(answer, entviz):
    asked = ("analyze", "--text", TEXT, *WINDOWS, "--metric", "bucket,cosine")
    dense, found = answer(*asked), answer(*asked, "--drop", "layer.1,mlp.2")
    assert found["drop"] == "layer.1,mlp.2"
    entropy = {row["site"]: row["per_window"] for row in found["sites"] if row["metric"] == "bucket"}
    assert entropy["layer.1"] == entropy["attn.1"] == entropy["layer.0"]
    assert entropy["layer.2"] == entropy["attn.2"] != entropy["layer.1"]
    before = {row["site"]: row["per_window"] for row in dense["sites"]}
    assert entropy["layer.0"] == pytest.approx(before["layer.0"])
    assert entropy["attn.2"] != pytest.approx(before["attn.2"])
    assert {
        row["value"] for row in found["blocks"] if row["block"] in ("layer.1", "attn.1", "mlp.1", "mlp.2")
    } == {0}
    _, output, _ = entviz(*asked, "--drop", "layer.1,mlp.2")
    assert "Dropped: layer.1,mlp.2" in output
    status, _, errors = entviz(*asked, "--drop", "layer.77")
    assert status == 2
    assert "layer.77 does not exist" in errors
