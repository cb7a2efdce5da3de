"""A metric added to the registry is everywhere: shell, analyses, pages, criteria, comparisons and reports."""

from dataclasses import dataclass

import pytest

from entviz import cli
from entviz.analysis import analyze
from entviz.comparison.grid.grid import compare
from entviz.comparison.trust.trust import trust
from entviz.comparison.trust.verdict import verdict
from entviz.criteria import rank
from entviz.estimators import METRICS, Entropy
from entviz.estimators.option import option
from entviz.figures.comparison import quality_chart, style_of
from entviz.models import LoadedModel
from entviz.report import About, of_analysis
from entviz.text.windows import windows_from_token_ids
from tests.app.conftest import figures, no_failure, one_process, open_app, settle, words  # noqa: F401
from tests.tiny import VOCABULARY_SIZE, build

IDS = [[(7 * window + 3 * token) % 90 + 3 for token in range(30)] for window in range(2)]


@dataclass(frozen=True)
class Spread(Entropy):
    """How far tokens lie from their mean."""

    power: int = option(2, 1, 8, "which power of the distances is averaged")

    name = "spread"
    title = "Spread"
    word = "spread"
    about = "The logarithm of the mean distance from the mean, to the power of {power}."
    source = "A test, 2026"

    def __call__(self, states):
        centred = states.double() - states.double().mean(dim=1, keepdim=True)
        return centred.norm(dim=2).pow(self.power).mean(dim=1).log()


@pytest.fixture
def added():
    """The registry with one more line."""
    with METRICS.added(Spread):
        yield


@pytest.fixture(scope="module")
def tiny():
    return LoadedModel.of(build("llama", 4))


@pytest.fixture(scope="module")
def windows():
    return windows_from_token_ids(IDS, VOCABULARY_SIZE)


@pytest.mark.parametrize("command", ["analyze", "rank", "trust"])
def test_the_shell_names_it_and_its_option(added, command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    said = capsys.readouterr().out
    assert "spread" in said
    assert ("--spread-power" in said) == (command != "trust")


def test_it_is_measured_by_default_and_with_its_option(added, tiny, windows):
    assert "spread" in analyze(tiny, windows).metrics
    found = analyze(tiny, windows, ["spread", "spread(power=4)", "spread(power=2)"])
    assert found.metrics == found.entropies == ("spread", "spread(power=4)")
    values = found.sites.pivot(index="site", columns="metric", values="value")
    assert (values["spread(power=4)"] > 1.5 * values["spread"].abs()).any()


def test_entrodrop_ranks_by_it_alone_and_in_a_comparison(added, tiny, windows):
    assert rank(tiny, windows, "entrodrop", estimator="spread", level="mlp", budget=1).drop
    names = ["entrodrop:spread", "entrodrop:spread(power=4)", "cosine"]
    found = compare(tiny, windows, windows, names, ["1"], levels=["mlp"])
    assert list(found.rows["name"]) == names
    assert list(found.rows["title"])[:2] == ["EntroDrop (Spread)", "EntroDrop (Spread, power = 4)"]
    assert len(set(map(style_of, names))) == 3
    drawn = {trace.name for trace in quality_chart(found, "kl", "parameters_kept").data}
    assert "EntroDrop (Spread, power = 4)" in drawn


def test_it_is_judged_against_damage(added, tiny, windows):
    found = trust(tiny, windows, "mlp", estimators=["spread(power=4)"], resamples=50)
    assert found.criteria == ("spread(power=4)", "cosine", "depth")
    assert verdict(found)


def test_a_report_shows_it(added, tiny, windows):
    found = analyze(tiny, windows, ["spread(power=4)", "cosine"])
    said = of_analysis(found, About("tiny", "", "a text"))
    assert "Spread entropy (power = 4)" in said


def test_the_explore_page_shows_it_without_a_click(added, open_app):  # noqa: F811
    app = settle(open_app())
    assert "Spread entropy" in [heading.value for heading in app.subheader]
    assert len(figures(app)) == 7  # a curve and bars for three entropies, and importance
    assert any("Spread: power" in field.label for field in app.number_input)
    assert "Spread entropy" in words(app)
