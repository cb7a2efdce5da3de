import doctest
import importlib

import pytest
import torch

from entviz.errors import OptionError
from entviz.estimators import METRICS, Entropy, entropies, estimator
from tests.estimators.ways import WAYS, hidden_states, running_on

SMALL = {"knn": {"k": 5}}


def small(name: str) -> Entropy:
    return estimator(name, **SMALL.get(name, {}))


def test_every_estimator_says_what_it_is() -> None:
    assert entropies() == ("bucket", "knn", "renyi", "matrix")
    for name, kind in METRICS.items():
        made = kind()
        assert made.spec == made.name == name
        assert (made.unit == "nats") == (made.kind == "entropy") == (name in entropies())
        for attribute in ("title", "word", "about", "unit", "axis_title", "remedy"):
            assert getattr(made, attribute), (name, attribute)
        assert "{" not in made.description
        assert any(character.isdigit() for character in made.source)  # a year
        for option in made.options():
            assert option.low <= option.default <= option.high
            assert option.purpose


@pytest.mark.parametrize("name", ["bukket", "cosine"])
def test_what_is_no_entropy_is_told_which_there_are(name: str) -> None:
    with pytest.raises(
        OptionError, match=f"'{name}' is not an entropy: choose from bucket, knn, renyi, matrix"
    ):
        estimator(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bucket", {"bins": 3}, "no option 'bins'; its options are buckets"),
        ("matrix", {"k": 3}, "no option 'k'; it has none"),
        ("bucket", {"buckets": 1}, "buckets must be a whole number from 2 to 4096, not 1"),
        ("bucket", {"buckets": 20.0}, "whole number"),
        ("bucket", {"buckets": True}, "whole number"),
        ("knn", {"k": 0}, "k must be a whole number from 1 to 65536, not 0"),
        ("knn", {"k": "5"}, "whole number"),
        ("renyi", {"alpha": 0}, "alpha must be a number above 0 and at most 10, not 0"),
        ("renyi", {"alpha": -1.5}, "above 0"),
        ("renyi", {"alpha": float("nan")}, "above 0"),
        ("renyi", {"alpha": float("inf")}, "above 0"),
        ("renyi", {"alpha": "two"}, "above 0"),
    ],
)
def test_a_bad_option_is_told_what_would_do(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        estimator(name, **options)


@pytest.mark.parametrize("name", entropies())
@pytest.mark.parametrize(
    "states",
    [
        torch.zeros(3, 4),
        torch.zeros(1, 30, 4, dtype=torch.int64),
        torch.zeros(1, 0, 4),
        torch.zeros(1, 30, 0),
    ],
    ids=["two dimensions", "whole numbers", "no tokens", "no width"],
)
def test_what_is_no_hidden_states_is_refused(name: str, states: torch.Tensor) -> None:
    with pytest.raises(OptionError, match=r"[Hh]idden states"):
        estimator(name)(states)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", entropies())
class TestEveryEstimator:
    def test_windows_measured_together_are_as_each_alone(self, way: str, name: str) -> None:
        states = hidden_states(5, 40, 130, 6)
        with running_on(way):
            together = small(name)(states)
            alone = torch.cat([small(name)(window.unsqueeze(0)) for window in states])
        assert together.dtype == torch.float64
        torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-9)

    def test_no_windows_give_no_entropies(self, way: str, name: str) -> None:
        with running_on(way):
            assert small(name)(torch.zeros(0, 30, 8)).shape == (0,)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_number_types_are_measured_as_float32(
        self, way: str, name: str, dtype: torch.dtype
    ) -> None:
        states = hidden_states(2, 40, 24, 7).to(dtype)
        with running_on(way):
            assert torch.equal(small(name)(states), small(name)(states.float()))

    def test_memory_layout_and_gradients_do_not_matter(self, way: str, name: str) -> None:
        states = hidden_states(2, 40, 24, 7)
        strided = torch.zeros(2, 80, 48)[:, ::2, 1::2].copy_(states)
        turned = states.mT.contiguous().mT.requires_grad_()
        assert not strided.is_contiguous()
        assert not turned.is_contiguous()
        with running_on(way):
            assert torch.equal(small(name)(strided), small(name)(states))
            assert torch.equal(small(name)(turned), small(name)(states))
            assert not small(name)(turned).requires_grad

    @pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
    @pytest.mark.parametrize("place", [(0, 0), (17, 23), (39, 129)])
    def test_a_window_that_is_not_finite_has_no_entropy(
        self, way: str, name: str, bad: float, place: tuple[int, int]
    ) -> None:
        states = hidden_states(3, 40, 130, 1)
        with running_on(way):
            clean = small(name)(states)
            states[1][place] = bad
            got = small(name)(states)
        assert got.isnan().tolist() == [False, True, False]
        torch.testing.assert_close(got[::2], clean[::2], rtol=1e-9, atol=1e-9)

    def test_states_are_left_as_they_were(self, way: str, name: str) -> None:
        states = hidden_states(2, 40, 24, 7, "near")
        before = states.clone()
        with running_on(way):
            small(name)(states)
        assert torch.equal(states, before)

    def test_autocast_does_not_coarsen_it(self, way: str, name: str) -> None:
        states = hidden_states(2, 40, 24, 7)
        with running_on(way):
            plain = small(name)(states)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                torch.testing.assert_close(small(name)(states), plain, rtol=1e-9, atol=0)


def test_an_estimator_knows_beforehand_which_windows_are_too_short() -> None:
    estimator("knn").check_tokens(26)
    with pytest.raises(
        OptionError, match="knn estimator needs at least 26 tokens in a window; these windows have 16"
    ):
        estimator("knn").check_tokens(16)


@pytest.mark.parametrize("module", [".registry", ".spec", ".bucket", ".knn", ".renyi", ".matrix", ".cosine"])
def test_examples_in_the_documentation_run(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"entviz.estimators{module}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
