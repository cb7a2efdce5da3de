"""What is compared: the pickers of the Criteria tab, and setting them to what an earlier comparison had."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from entviz.comparison.grid.contenders import (
    REPAIRS,
    names,
    plain,
    title,
    usual,
    variants,
    variants_of,
    with_variant,
)
from entviz.estimators import base
from entviz.tasks import BUILT_IN
from entviz.text.passages import passages
from entviz.words.levels import LEVEL_TITLES
from pages.parts.shared import selection

OTHERS: Final = "The other built-in passages"
REST: Final = "The rest of this text"
NO_TASK: Final = "None"
USUAL_BUDGETS: Final = "4, 8, 12"
BUDGET_CHARACTERS: Final = 200
MOST_SECONDS: Final = 600
ITEMS: Final = 50  # of a task, at most


@dataclass(frozen=True)
class ComparisonChoices:
    """What is compared. ``task`` is a built-in task's name, or empty; ``others`` says what is measured on."""

    criteria: tuple[str, ...]
    budgets: tuple[str, ...]
    levels: tuple[str, ...]
    seeds: int
    seconds: float
    others: bool
    task: str
    limit: int


def missing(choices: ComparisonChoices) -> str | None:
    """What has still to be chosen, as a sentence; None when nothing."""
    if not choices.criteria:
        return "Choose at least one criterion."
    return None if choices.levels else "Choose at least one kind of block."


def other_passages(chosen: selection.Selection) -> list[str]:
    """The built-in texts that are not the one in the sidebar."""
    return [passage.text for name, passage in passages().items() if name != chosen.text_name]


def of_run(options: Mapping[str, Any]) -> ComparisonChoices:
    """What a stored comparison had chosen, from the options of its run."""
    return ComparisonChoices(
        tuple(options["criteria"]),
        tuple(options["budgets"]),
        tuple(options["levels"]),
        options["seeds"],
        float(int(options["seconds"])),
        bool(options["measure_on"]),
        options["task"],
        options["limit"] or st.session_state.get("compare.limit", ITEMS),
    )


def shown(choices: ComparisonChoices, chosen: selection.Selection) -> dict[str, Any]:
    """What the pickers say, by their keys, where these are the choices."""
    built_in = chosen.text_name in passages()
    criteria, chosen_variants = _picked(choices.criteria)
    return {
        "compare.criteria": criteria,
        "compare.variants": [word for word in chosen_variants if word not in REPAIRS],
        "compare.repairs": [word for word in chosen_variants if word in REPAIRS],
        "compare.levels": list(choices.levels),
        "compare.budgets": ", ".join(choices.budgets),
        "compare.seeds": choices.seeds,
        "compare.seconds": int(choices.seconds),
        f"compare.measure_on.{built_in}": OTHERS if choices.others else REST,
        "compare.task": choices.task or NO_TASK,
        "compare.limit": choices.limit,
    }


def draw(chosen: selection.Selection) -> ComparisonChoices:
    """The pickers, and what they say."""
    criteria = st.pills(
        "Criteria",
        _offered(),
        default=usual(),
        selection_mode="multi",
        format_func=title,
        key="compare.criteria",
        persist_state="session",
        help="The rules that choose blocks. Those that only measure take seconds; leave-one-out, the greedy ones, the "
        "quadratic choice and the search run the model without blocks, and take minutes.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        levels = st.pills(
            "Blocks",
            LEVEL_TITLES,
            default=["attn"],
            selection_mode="multi",
            format_func=LEVEL_TITLES.__getitem__,
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
            help="How much to drop, separated by commas: 8 (blocks), 20% (of the parameters), 50MB, 15% latency.",
        )
        built_in = chosen.text_name in passages()
        measure_on = st.selectbox(
            "Measure on",
            (OTHERS, REST) if built_in else (REST, OTHERS),
            key=f"compare.measure_on.{built_in}",
            persist_state="session",
            width=260,
            help="Criteria choose on the text in the sidebar (calibration). Their prune sets are measured on other "
            "text.",
        )
    with st.expander("Variants, repairs, task, random and search", icon=":material/tune:"):
        switches = variants()
        usual_ways = [word for word in switches if word not in REPAIRS]
        chosen_variants = st.pills(
            "The same criteria also",
            usual_ways,
            selection_mode="multi",
            format_func=lambda word: switches[word].title,
            key="compare.variants",
            persist_state="session",
            help="Each is compared beside the criterion as it is usually, where the criterion has it.\n\n"
            + "\n".join(f"- {switches[word].title}: {switches[word].purpose}" for word in usual_ways),
        )
        repairs = st.pills(
            "Repaired also by",
            REPAIRS,
            selection_mode="multi",
            format_func=lambda word: REPAIRS[word].title,
            key="compare.repairs",
            persist_state="session",
            help="Every prune set is also measured with these repairs of what it leaves behind. They are fitted on the "
            "text that the criteria choose by and on text that the model writes itself.\n\n"
            + "\n".join(f"- {each.title}: {each.purpose}." for each in REPAIRS.values()),
        )
        task, limit, seeds, seconds = _draw_more()
    return ComparisonChoices(
        _with_variants(_sorted(criteria), [*chosen_variants, *repairs]),
        tuple(word.strip() for word in budgets.split(",") if word.strip()),
        tuple(level for level in LEVEL_TITLES if level in levels),
        seeds,
        seconds,
        measure_on == OTHERS,
        task,
        limit,
    )


def _offered() -> list[str]:
    """Every criterion; with the options that are chosen in this session, too, and what an earlier comparison had."""
    changed = [
        f"{name.partition(':')[0]}:{spec}"
        for spec in selection.get("options")
        for name in names()
        if name.partition(":")[2] == base(spec)
    ]
    return list(dict.fromkeys([*names(), *changed, *_sorted(st.session_state.get("compare.criteria", ()))]))


def _sorted(criteria: Iterable[str]) -> list[str]:
    """The names in the order in which they are offered."""
    order = names()

    def place(name: str) -> tuple[int, int]:
        known = plain(name).partition("(")[0]
        return (order.index(known) if known in order else len(order), len(variants_of(name)))

    return sorted(dict.fromkeys(criteria), key=place)


def _picked(criteria: Sequence[str]) -> tuple[list[str], list[str]]:
    """What the pickers of criteria and of variants say for these names.

    A comparison from a shell may have what the pickers cannot say together; then each name is a criterion by itself.
    """
    plain_ones = _sorted(name for name in criteria if not variants_of(name))
    words = [word for word in variants() if any(word in variants_of(name) for name in criteria)]
    if set(_with_variants(plain_ones, words)) == set(criteria):
        return plain_ones, words
    return _sorted(criteria), []


def _with_variants(names: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The names, each followed by its variants."""
    found: list[str] = []
    for name in names:
        found.append(name)
        found += [other for word in variants() if word in words and (other := with_variant(name, word))]
    return tuple(dict.fromkeys(found))


def _draw_more() -> tuple[str, int, int, float]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        task = st.selectbox(
            "Task",
            (NO_TASK, *BUILT_IN),
            format_func=lambda name: BUILT_IN.get(name, name),
            key="compare.task",
            persist_state="session",
            width=220,
            help="Multiple-choice items on which every prune set is scored as well.",
        )
        limit = st.number_input(
            "Items",
            5,
            ITEMS,
            ITEMS,
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
