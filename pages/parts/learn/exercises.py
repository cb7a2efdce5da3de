"""The Learn page's exercises: a question, prune sets to open in Prune, and what dropping them costs, measured on ask.

``draw(analysis, chosen)`` draws all three, for the model and text of the analysis.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from entviz.blocks import PruneSet
from entviz.figures import lesson_costs, theme
from entviz.lessons import exercises
from entviz.runtime import runtime
from entviz.studies import Evaluate
from pages.parts.shared import address, job_view, selection

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.evaluation.loss import Evaluation
    from entviz.lessons.exercises import Exercise, ExerciseChoice

BUDGET: Final = 8


def draw(analysis: "Analysis", chosen: selection.Selection) -> None:
    budget = st.session_state.get("learn.budget", BUDGET)
    for number, exercise in enumerate(exercises.exercises(analysis, budget), start=1):
        with st.container(border=True):
            st.markdown(f"#### {number}. {exercise.title}")
            st.markdown(exercise.question)
            if exercise.name == "criteria":
                st.segmented_control(
                    "How many attentions may go",
                    exercises.BUDGETS,
                    default=BUDGET,
                    required=True,
                    key="learn.budget",
                    persist_state="session",
                )
            _draw_choices(exercise.choices)
            _draw_answer(exercise, chosen)


def _draw_choices(choices: "tuple[ExerciseChoice, ...]") -> None:
    for column, choice in zip(st.columns(len(choices), gap="medium"), choices, strict=True):
        with column:
            st.markdown(f"**{choice.title}**")
            st.code(choice.drop.replace(",", ", "), language=None, wrap_lines=True)
            st.caption(choice.measured)
            st.page_link(
                "pages/prune.py",
                label="Drop it in Prune" if "," not in choice.drop else "Drop them in Prune",
                icon=":material/content_cut:",
                query_params=address.parameters(drop=choice.drop),
                help=f"Opens the Prune page with {choice.drop} ticked.",
            )


def _draw_answer(exercise: "Exercise", chosen: selection.Selection) -> None:
    with st.expander("What you should see, and why", icon=":material/visibility:"):
        key = f"learn.measured.{exercise.name}"
        if not st.session_state.get(key):
            st.markdown(f"Decide first. Then let {chosen.windows} windows of {chosen.text_title} say it.")
            st.button(
                "Measure",
                key=f"{key}.button",
                icon=":material/play_arrow:",
                on_click=_ask,
                args=(key,),
            )
            return
        found = _evaluate(exercise, chosen)
        if found is None:
            return
        answer = exercises.answer_to(exercise, found)
        st.markdown(f"**{answer.said}** {answer.why}")
        names = [_short(choice) for choice in exercise.choices]
        st.plotly_chart(
            lesson_costs.costs(names, [exercises.cost(one) for one in found]),
            key=f"{key}.chart",
            config=theme.export_config(f"entviz-exercise-{exercise.name}"),
            alt="; ".join(
                f"{name}: perplexity {one.perplexity:.1f}" for name, one in zip(names, found, strict=True)
            ),
        )
        st.caption(
            f"Measured on {found[0].tokens} tokens of {chosen.text_title}, dense perplexity "
            f"{found[0].dense_perplexity:.1f}. The lines are two standard errors either way, tokens counted as "
            "independent."
        )


def _ask(key: str) -> None:
    st.session_state[key] = True


def _evaluate(exercise: "Exercise", chosen: selection.Selection) -> "list[Evaluation] | None":
    """The evaluation of each choice; None while there is one to wait for. One job at a time."""
    found: list[Evaluation] = []
    for number, choice in enumerate(exercise.choices, start=1):
        drop = choice.drop
        study = Evaluate(chosen.sample(), PruneSet.parse(drop))
        shown = job_view.show(
            partial(runtime().ask, study, job_view.session(), slot=None),
            place=f"learn.{exercise.name}.{number}",
            label=f"Dropping {_short(choice)}",
            about=(chosen, drop),
        )
        if not shown.fresh or shown.result is None:
            return None
        found.append(shown.result)
    return found


def _short(choice: "ExerciseChoice") -> str:
    return choice.drop if "," not in choice.drop else choice.title
