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
