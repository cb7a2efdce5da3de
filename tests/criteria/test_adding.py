"""A criterion that is put into the registry is everywhere: shell, rankings, pages, comparisons and their charts."""

import json
from dataclasses import dataclass

import pytest

from entviz import cli
from entviz.blocks import PruneSet
from entviz.comparison.grid.grid import compare
from entviz.criteria import CRITERIA, Criterion, rank
from entviz.errors import OptionError
from entviz.figures.comparison import quality_chart, style_of
from entviz.models import LoadedModel
from entviz.text.windows import windows_from_token_ids
from tests.app.conftest import no_failure, one_process, open_app, settle  # noqa: F401
from tests.tiny import VOCABULARY_SIZE, build

IDS = [[(7 * window + 3 * token) % 90 + 3 for token in range(30)] for window in range(2)]


@dataclass(frozen=True)
class Every(Criterion):
    """Every other block first, from a start."""

    start: int = 0

    name = "every-other"
    title = "Every other block"
    short_title = "Every other"
    source = "a test"
    needs = "nothing"

    def rank(self, calibration, candidates, progress=None):
        free = candidates.free
        return candidates.in_order(self.name, (*free[self.start :: 2], *free[1 - self.start :: 2]))


@pytest.fixture
def added():
    """The registry with one more line."""
    with CRITERIA.added(Every):
        yield


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", 4))


@pytest.fixture(scope="module")
def windows():
    return windows_from_token_ids(IDS, VOCABULARY_SIZE)


def test_it_ranks_with_its_own_option(added, tiny, windows):
    assert rank(tiny, windows, "every-other", level="mlp", budget=2).drop == PruneSet.parse("mlp.0,mlp.2")
    assert rank(tiny, windows, "every-other", level="mlp", budget=2, start=1).drop == PruneSet.parse(
        "mlp.1,mlp.3"
    )
    with pytest.raises(OptionError, match="no option 'start': it is for every-other"):
        rank(tiny, windows, "cosine", start=1)


def test_the_shell_names_it(added, capsys):
    with pytest.raises(SystemExit):
        cli.main(["rank", "--help"])
    assert "every-other" in capsys.readouterr().out


def test_the_shell_ranks_by_it(added, tmp_path, capsys):
    build("llama", 4).save_pretrained(tmp_path / "model")
    (tmp_path / "ids.json").write_text(json.dumps(IDS))
    asked = ["--model", str(tmp_path / "model"), "--token-ids", str(tmp_path / "ids.json"), "--level", "mlp"]
    assert cli.main(["rank", *asked, "--criterion", "every-other", "--budget", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drop"] == ["mlp.0", "mlp.2"]


def test_the_prune_page_offers_it_and_ticks_by_it(added, open_app):  # noqa: F811
    app = settle(open_app("prune"))
    criterion = app.selectbox(key="prune.criterion")
    assert "Every other block" in criterion.options
    criterion.set_value("every-other").run()
    settle(app)
    app.number_input(key="prune.count").set_value(2).run()
    app.button(key="prune.lowest").click().run()
    settle(app)
    assert app.query_params["drop"] == "attn.0,attn.2"


def test_the_compare_page_offers_it_and_compares_it(added, open_app):  # noqa: F811
    app = settle(open_app("compare"))
    app.pills(key="compare.criteria").set_value(["every-other", "cosine"])
    app.text_input(key="compare.budgets").set_value("1").run()
    app.button(key="compare.start").click().run()
    settle(app)
    table = app.dataframe[0].value.set_index("title")
    assert table.loc["Every other", "drop"] == "attn.0"


def test_it_takes_part_in_a_comparison_with_a_look_of_its_own(added, tiny, windows):
    found = compare(tiny, windows, windows, ["every-other", "cosine"], ["1"], levels=["attn"])
    row = found.rows[found.rows["name"] == "every-other"].iloc[0]
    assert (row["title"], row["drop"]) == ("Every other", "attn.0")
    assert len({style_of(name) for name in CRITERIA}) == len(CRITERIA)
    assert "Every other" in {trace.name for trace in quality_chart(found, "kl", "parameters_kept").data}


def test_no_criterion_is_unfinished():
    for criterion in CRITERIA.values():
        for attribute in ("name", "title", "short_title", "source", "level", "levels", "needs"):
            assert getattr(criterion, attribute), (criterion, attribute)
        assert criterion.level in criterion.levels
