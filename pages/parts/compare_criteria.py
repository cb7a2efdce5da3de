"""The Criteria tab: what is compared, a button that starts it, and what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from entviz.comparison.contenders import NAMES, VARIANTS, contenders, title
from entviz.comparison.estimate import estimated_seconds, in_words
from entviz.corpus import passages
from entviz.errors import EntvizError
from entviz.figures import comparison as drawn
from entviz.figures import theme
from entviz.tasks import BUILT_IN, read_task
from entviz.workbench import workbench
from pages.parts import compare_results, selection, working
from pages.parts.markdown import escape

if TYPE_CHECKING:
    from entviz.analysis import Analysis
    from entviz.comparison.result import Comparison
    from entviz.jobs import Job

PLACE: Final = "compare.criteria"
LEVELS: Final = {"layer": "Layers", "attn": "Attentions", "mlp": "MLPs", "attn+mlp": "Attn + MLP"}
USUAL: Final = ("entrodrop:bucket", "entrodrop:knn", "entrodrop:renyi", "cosine", "random")
VARIANT_TITLES: Final = {"stage-2": "After the turning point only", "unprotected": "Without protected layers"}
OTHERS: Final = "The other built-in passages"
REST: Final = "The rest of this text"
NO_TASK: Final = "None"
USUAL_BUDGETS: Final = "4, 8, 12"
BUDGET_CHARACTERS: Final = 200
MOST_SECONDS: Final = 600
_STARTED: Final = "compare.started"


@dataclass(frozen=True)
class Choices:
    """What is compared. ``task`` is a built-in task's name, or empty; ``others`` says what is measured on."""

    criteria: tuple[str, ...]
    budgets: tuple[str, ...]
    levels: tuple[str, ...]
    seeds: int
    seconds: float
    others: bool
    task: str
    limit: int


@dataclass(frozen=True)
class Asked:
    """A comparison as it was asked for: plain data."""

    selection: selection.Selection
    choices: Choices


def draw() -> None:
    """The whole tab."""
    chosen = selection.current()
    choices = _draw_choices(chosen)
    asked = Asked(chosen, choices)
    todo = selection.missing(chosen)
    if not todo and not choices.criteria:
        todo = "Choose at least one criterion."
    if not todo and not choices.levels:
        todo = "Choose at least one kind of block."
    if todo:
        st.info(todo, icon=":material/edit_note:")
        shown = working.last(PLACE)
    elif st.session_state.get(_STARTED) == asked:
        shown = working.show(
            lambda: _start(asked),
            place=PLACE,
            label="Comparing",
            about=asked,
            draw_partial=lambda partial: compare_results.draw_partial(partial),
        )
    else:
        _draw_start(asked)
        shown = working.last(PLACE)
    if shown.result is not None:
        found: Comparison = shown.result
        compare_results.draw(found, shown.about.selection, shown.about.choices.others, shown.fresh)
    elif not todo and st.session_state.get(_STARTED) != asked:
        _draw_earlier(chosen)
    if not todo and "layer" in choices.levels:
        _draw_angles(chosen)


def _draw_choices(chosen: selection.Selection) -> Choices:
    criteria = st.pills(
        "Criteria",
        NAMES,
        default=USUAL,
        selection_mode="multi",
        format_func=title,
        key="compare.criteria",
        persist_state="session",
        help="The rules that choose blocks. Those that only measure take seconds; leave-one-out, the greedy ones and "
        "the search run the model without blocks, and take minutes.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        levels = st.pills(
            "Blocks",
            LEVELS,
            default=["attn"],
            selection_mode="multi",
            format_func=LEVELS.__getitem__,
            key="compare.levels",
            persist_state="session",
        )
        budgets = st.text_input(
            "Budgets",
            USUAL_BUDGETS,
            max_chars=BUDGET_CHARACTERS,
            key="compare.budgets",
            persist_state="session",
            width=220,
            help="How much to drop, several with commas: 8 (blocks), 20% (of the parameters), 50MB, 15% latency.",
        )
        built_in = chosen.text_name in passages()
        measure_on = st.selectbox(
            "Measure on",
            (OTHERS, REST) if built_in else (REST, OTHERS),
            key=f"compare.measure_on.{built_in}",
            persist_state="session",
            width=260,
            help="Criteria choose by the text in the sidebar. What they chose is measured on text they have not seen.",
        )
    with st.expander("EntroDrop's variants, task, random and search", icon=":material/tune:"):
        variants = st.pills(
            "EntroDrop also",
            VARIANTS,
            selection_mode="multi",
            format_func=VARIANT_TITLES.__getitem__,
            key="compare.variants",
            persist_state="session",
            help="As the authors' code has it, EntroDrop leaves the first two layers and the last alone. The paper "
            "drops blocks of the second stage only, those after the turning point.",
        )
        task, limit, seeds, seconds = _draw_more()
    return Choices(
        _with_variants([name for name in NAMES if name in criteria], variants),
        tuple(word.strip() for word in budgets.split(",") if word.strip()),
        tuple(level for level in LEVELS if level in levels),
        seeds,
        seconds,
        measure_on == OTHERS,
        task,
        limit,
    )


def _with_variants(names: Sequence[str], variants: Sequence[str]) -> tuple[str, ...]:
    """The names, each of entrodrop's followed by its variants."""
    found: list[str] = []
    for name in names:
        found.append(name)
        if name.startswith("entrodrop:"):
            found += [f"{name}:{variant}" for variant in VARIANTS if variant in variants]
    return tuple(found)


def _draw_more() -> tuple[str, int, int, float]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        task = st.selectbox(
            "Task",
            (NO_TASK, *BUILT_IN),
            format_func=lambda name: BUILT_IN.get(name, name),
            key="compare.task",
            persist_state="session",
            width=220,
            help="Multiple-choice items that every prune set answers too.",
        )
        limit = st.number_input(
            "Items",
            5,
            50,
            50,
            key="compare.limit",
            persist_state="session",
            width=120,
            disabled=task == NO_TASK,
        )
        seeds = st.number_input(
            "Random prune sets", 1, 20, 3, key="compare.seeds", persist_state="session", width=150
        )
        seconds = st.number_input(
            "Search (seconds a budget)",
            5,
            MOST_SECONDS,
            60,
            step=5,
            key="compare.seconds",
            persist_state="session",
            width=180,
        )
    return "" if task == NO_TASK else str(task), int(limit), int(seeds), float(seconds)


def _draw_start(asked: Asked) -> None:
    """The button, with how long it will take."""
    analyzed = working.show(
        lambda: workbench().analyze(asked.selection.request(), selection.METRICS, working.session()),
        place="compare.analysis",
        label="Measuring hidden states",
        about=asked.selection,
    )
    button, note = st.columns([1, 4], vertical_alignment="center")
    button.button(
        "Compare",
        key="compare.start",
        type="primary",
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update({_STARTED: asked}),
        width="stretch",
    )
    if analyzed.result is not None:
        note.caption(_estimate(asked, analyzed.result))


def _estimate(asked: Asked, analysis: "Analysis") -> str:
    choices = asked.choices
    try:
        entries, _ = contenders(choices.criteria, choices.levels, seeds=choices.seeds)
    except EntvizError as error:
        return escape(str(error))
    numbers = [int(budget) for budget in choices.budgets if budget.isascii() and budget.isdigit()]
    measured = 20 if choices.others else asked.selection.windows
    seconds = estimated_seconds(
        entries,
        max(1, len(choices.budgets)),
        min(max(numbers, default=analysis.layers // 3), analysis.layers),
        layers=analysis.layers,
        calibration_tokens=analysis.windows * analysis.window_length,
        measured_tokens=measured * analysis.window_length,
        window_length=analysis.window_length,
        seconds_per_token=analysis.seconds / (analysis.windows * analysis.window_length),
        search_seconds=choices.seconds,
        items=choices.limit if choices.task else 0,
    )
    rows = len(entries) * max(1, len(choices.budgets))
    return f"{rows} prune sets, {in_words(seconds)} on this machine. Stop it at any time: what is done stays done."


def _start(asked: Asked) -> "Job[Comparison]":
    choices, name = asked.choices, asked.selection.text_name
    others = [passage.text for key, passage in passages().items() if key != name] if choices.others else []
    return workbench().compare(
        asked.selection.request(),
        choices.criteria,
        choices.budgets,
        choices.levels,
        working.session(),
        measure_on=others,
        seeds=choices.seeds,
        seconds=choices.seconds,
        task=read_task(choices.task) if choices.task else None,
        limit=choices.limit if choices.task else None,
    )


def _draw_earlier(chosen: selection.Selection) -> None:
    """The newest comparison of this text that was kept, from another session or from before a restart."""
    earlier = workbench().earlier_comparison(chosen.request())
    if earlier is None:
        st.caption("Nothing has been compared on this text yet.")
        return
    run, found = earlier
    if not found.finished:
        note, button = st.columns([4, 1], vertical_alignment="center")
        note.info(
            f"A comparison of this text was stopped with {len(found.rows)} of {found.rows_total} rows done. They are "
            "below, and are not measured again.",
            icon=":material/history:",
        )
        button.button(
            "Go on",
            key="compare.go_on",
            icon=":material/play_arrow:",
            on_click=_take_over,
            args=(chosen, dict(run.options)),
            width="stretch",
        )
    compare_results.draw(found, chosen, bool(run.options.get("measure_on")), fresh=found.finished)


def _take_over(chosen: selection.Selection, options: dict[str, Any]) -> None:
    """Choose what an earlier comparison had chosen, and start it."""
    built_in = chosen.text_name in passages()
    selection.put(windows=options["windows"], length=options["window_length"])
    values = {
        "compare.criteria": [name for name in NAMES if name in options["criteria"]],
        "compare.variants": [
            name for name in VARIANTS if any(one.endswith(f":{name}") for one in options["criteria"])
        ],
        "compare.levels": list(options["levels"]),
        "compare.budgets": ", ".join(options["budgets"]),
        "compare.seeds": options["seeds"],
        "compare.seconds": int(options["seconds"]),
        f"compare.measure_on.{built_in}": OTHERS if options["measure_on"] else REST,
        "compare.task": options["task"] or NO_TASK,
    }
    if options["limit"]:
        values["compare.limit"] = options["limit"]
    st.session_state.update(values)
    choices = Choices(
        tuple(options["criteria"]),
        tuple(options["budgets"]),
        tuple(options["levels"]),
        options["seeds"],
        float(int(options["seconds"])),
        bool(options["measure_on"]),
        options["task"],
        options["limit"] or st.session_state.get("compare.limit", 50),
    )
    view = selection.Selection(
        chosen.model, chosen.text_name, chosen.text, options["windows"], options["window_length"]
    )
    st.session_state[_STARTED] = Asked(view, choices)


def _draw_angles(chosen: selection.Selection) -> None:
    with st.expander("Runs of layers: angular distance", icon=":material/grid_on:"):
        st.caption(
            "Angular distance between what enters the first layer of a run and what leaves its last: the less, the "
            "less the run does. The angular-distance criterion drops the run with the least for its size (circles). "
            "Gromov et al., 2024."
        )
        if not st.toggle(
            "Measure it on the text in the sidebar", key="compare.angles", persist_state="session"
        ):
            return
        shown = working.show(
            lambda: workbench().angles(chosen.request(), working.session()),
            place="compare.angles",
            label="Measuring angles",
            about=chosen,
        )
        if shown.result is not None:
            st.plotly_chart(
                drawn.angular_map(shown.result.distances),
                key="compare.angular_map",
                config=theme.export_config("entviz-angular-distance"),
                alt="Angular distance across every run of layers, by first layer and number of layers",
            )
