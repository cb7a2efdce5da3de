"""The choice of a criterion, and its ranking of the blocks."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.criteria import CRITERIA, ByAnalysis, Criterion, EntroDrop
from entviz.criteria.ranking import free_blocks, score_table
from entviz.estimators import entropies
from entviz.runtime import runtime
from entviz.studies import Rank, RankingOptions
from entviz.words.levels import LEVEL_TITLES
from entviz.words.metrics import metric_title
from pages.parts.shared import job_view, massive_tokens, metric_options, selection

if TYPE_CHECKING:
    from entviz.criteria.ranking import Ranking

USUAL_COUNT: Final = 4
MOST_PROTECTED: Final = 50  # layers at each end
_COUNT: Final = "prune.count"
_MASSIVE: Final = "without_massive"  # an option of criteria, and a choice that pages share
SEARCH_SECONDS: Final = 30.0


@dataclass(frozen=True)
class RankingChoices:
    """What blocks are ranked by, and ``measured``: the metrics that the analysis behind it holds.

    ``without_massive`` says that this analysis leaves out massive tokens, whether or not blocks are ranked by it.
    ``estimator`` is a spec; of a criterion that has none, the one whose entropy increase is shown. ``protect`` is None
    for what is usual for the criterion.
    """

    criterion: str
    estimator: str
    level: str
    count: int
    protect: tuple[int, int] | None
    switched: tuple[tuple[str, Any], ...]
    measured: tuple[str, ...]
    without_massive: bool = False

    @property
    def by(self) -> RankingOptions:
        """The same without a budget."""
        return RankingOptions(
            self.criterion,
            self.estimator,
            self.level,
            0,
            self.protect,
            dict(self.switched).get("stage"),
            seconds=SEARCH_SECONDS,
            along=self.measured,
            more=tuple((name, value) for name, value in self.switched if name != "stage"),
        )

    @property
    def rule(self) -> Criterion:
        """The criterion with its options."""
        return self.by.chosen

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of block that are ranked."""
        return ("attn", "mlp") if self.level == "attn+mlp" else (self.level,)

    def study(self, chosen: selection.Selection, budget: int) -> Rank:
        """The ranking for so many blocks."""
        return Rank(chosen.sample(), replace(self.by, budget=budget))

    @property
    def protected(self) -> tuple[int, int]:
        """How many layers at the start and at the end are never dropped."""
        return self.rule.protection if self.protect is None else self.protect

    @property
    def unit(self) -> str:
        return CRITERIA[self.criterion].score_unit

    @property
    def score_title(self) -> str:
        """The score's name with its unit, for the colour bar."""
        name, unit = CRITERIA[self.criterion].score_title, self.unit
        estimator = f", {metric_title(self.estimator)}" if has_estimator(self.criterion) else ""
        again = ", when dropped" if isinstance(self.rule, ByAnalysis) and self.rule.iterative else ""
        return f"{name}{estimator}{again} ({unit})" if unit else f"{name}{estimator}{again}"


def draw_pickers() -> RankingChoices:
    """Draw the pickers in a row and return what they say."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="prune.pickers"):
        criterion: str = st.selectbox(
            "Criterion",
            list(CRITERIA),
            format_func=lambda name: CRITERIA[name].title,
            key="prune.criterion",
            persist_state="session",
            width=170,
            help="The rule that scores the blocks. The blocks with the lowest scores are dropped first.\n\n"
            + "\n".join(f"- {one.title}: {one.source}" for one in CRITERIA.values()),
        )
        levels = CRITERIA[criterion].levels
        level = st.segmented_control(
            "Blocks to rank",
            levels,
            format_func=LEVEL_TITLES.__getitem__,
            **_one_of("prune.level", levels, CRITERIA[criterion].level),
            required=True,
            persist_state="session",
        )
        estimator: str | None = EntroDrop.estimator
        if has_estimator(criterion):
            estimator = st.segmented_control(
                "Entropy",
                entropies(),
                format_func=metric_title,
                **_one_of("prune.estimator", entropies(), EntroDrop.estimator),
                required=True,
                persist_state="session",
            )
        protect, switched = _draw_options(criterion, estimator or EntroDrop.estimator)
    count = int(st.session_state.get(_COUNT, USUAL_COUNT))
    name = estimator or EntroDrop.estimator
    measured = selection.measured(name)
    return RankingChoices(
        criterion,
        selection.spec(name),
        level or levels[0],
        count,
        protect,
        switched,
        measured,
        without_massive=selection.get(_MASSIVE),
    )


def has_estimator(criterion: str) -> bool:
    """Whether a criterion ranks by an entropy that is chosen."""
    return "estimator" in CRITERIA[criterion].options()


def show_ranking(chosen: selection.Selection, choice: RankingChoices) -> "job_view.Shown[Ranking]":
    """The ranking at the chosen level, as a job on the screen."""
    return job_view.show(
        lambda: runtime().ask(
            choice.study(chosen, choice.count if choice.rule.order != "all" else 0),
            job_view.session(),
        ),
        place="prune.ranking",
        label=_label(choice.rule),
        about=(chosen, choice),
    )


def _label(rule: Criterion) -> str:
    """What is done to rank, for the bar of the job."""
    if not rule.tries():
        return "Ranking blocks"
    return "Measuring after each drop" if isinstance(rule, ByAnalysis) else "Trying blocks"


def most_to_drop(choice: RankingChoices, ranking: "Ranking | None", layers: int) -> int:
    """How many blocks can be asked for: all that are not protected, less one where nothing else would be left.

    The ranking's order may be shorter: some criteria choose no further than they are asked to. Without a ranking it is
    not known which layers a criterion leaves alone by what it measured.
    """
    table = ranking.scores if ranking is not None else score_table(layers, choice.level, {}, choice.protected)
    free = free_blocks(table)
    return len(free) - (not PruneSet(free).leaves_something(layers))


def other_rankings(chosen: selection.Selection, choice: RankingChoices) -> "list[Ranking]":
    """Rankings of the kinds of block that were measured along with those of the chosen level.

    Where those are measured again after each drop, the others have the scores of the dense model and no ranks.
    """
    if not isinstance(choice.rule, ByAnalysis):
        return []
    once = tuple(option for option in choice.switched if option[0] != "iterative")
    jobs = [
        runtime().ask(replace(choice, level=kind, switched=once).study(chosen, 0), job_view.session())
        for kind in selection.KINDS
        if kind not in choice.kinds
    ]
    found = [job.result for job in jobs if job.state == "done"]
    return [replace(one, order=()) for one in found] if choice.rule.iterative else found


def _draw_options(
    criterion: str, estimator: str
) -> tuple[tuple[int, int] | None, tuple[tuple[str, Any], ...]]:
    """How the entropy is measured, how many layers are protected, and what of the criterion is switched on."""
    with st.popover("Options", icon=":material/tune:"):
        if has_estimator(criterion):
            metric_options.draw(estimator, "prune")
        own = st.toggle(
            "Choose which layers to protect",
            key="prune.own_protection",
            persist_state="session",
            help="As published, EntroDrop protects the first two layers and the last one; the other criteria protect "
            "none.",
        )
        protect = None
        if own:
            first = st.number_input(
                "First layers", 0, MOST_PROTECTED, 2, key="prune.first", persist_state="session"
            )
            last = st.number_input(
                "Last layers", 0, MOST_PROTECTED, 1, key="prune.last", persist_state="session"
            )
            protect = (int(first), int(last))
        switched = tuple(
            (switch.name, switch.on)
            for switch in CRITERIA[criterion].switches()
            if switch.name != _MASSIVE
            and st.toggle(
                switch.title, key=f"prune.{switch.key}", persist_state="session", help=switch.purpose
            )
        )
        # Of the curve too, whatever the criterion, and of the Explore page.
        massive_tokens.draw_switch("prune.massive")
        if selection.get(_MASSIVE) and _MASSIVE in CRITERIA[criterion].options():
            switched = (*switched, (_MASSIVE, True))
    return protect, switched


def _one_of(key: str, options: tuple[str, ...], usual: str) -> dict[str, Any]:
    """Arguments that make a widget show one of its options, also where its last one is no longer among them.

    The default is what it shall show; why, see :func:`pages.parts.shared.bound_widgets.widget`.
    """
    if st.session_state.get(key) not in options:
        st.session_state[key] = usual
    return {"key": key, "default": st.session_state[key]}


def count_input(most: int) -> dict[str, Any]:
    """Arguments of the field for how many blocks to tick."""
    if not 1 <= st.session_state.get(_COUNT, 0) <= most:
        st.session_state[_COUNT] = max(1, min(st.session_state.get(_COUNT, USUAL_COUNT), most))
    return {
        "min_value": 1,
        "max_value": max(1, most),
        "value": st.session_state[_COUNT],
        "key": _COUNT,
        "persist_state": "session",
    }
