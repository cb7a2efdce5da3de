"""How much a comparison is, told before it is started, from what is known and without starting anything."""

from typing import Final

from entviz.comparison.grid.contenders import contenders
from entviz.comparison.grid.estimate import estimated_seconds, in_words
from entviz.errors import EntvizError
from entviz.runtime import runtime
from pages.parts.compare.comparison_request import ComparisonRequest
from pages.parts.shared.markdown import escape

OTHER_WINDOWS: Final = 20  # about as many as the other built-in passages fill


def sentence(asked: ComparisonRequest) -> str:
    """How many prune sets there are and, where this model has been measured before, how long they take here."""
    choices = asked.choices
    try:
        entries, _ = contenders(
            choices.criteria, choices.levels, seeds=choices.seeds, seconds=choices.seconds
        )
    except EntvizError as error:
        return escape(str(error))
    sets = f"{len(entries) * max(1, len(choices.budgets))} prune sets"
    known = runtime().earlier_analysis(asked.selection.model)
    if known is not None:
        numbers = [int(budget) for budget in choices.budgets if budget.isascii() and budget.isdigit()]
        windows, length = asked.selection.windows, asked.selection.window_length
        seconds = estimated_seconds(
            entries,
            max(1, len(choices.budgets)),
            min(max(numbers, default=known.layers // 3), known.layers),
            layers=known.layers,
            calibration_tokens=windows * length,
            measured_tokens=(OTHER_WINDOWS if choices.others else windows) * length,
            window_length=length,
            seconds_per_token=known.seconds / (known.windows * known.window_length),
            items=choices.limit if choices.task else 0,
        )
        sets = f"{sets}, {in_words(seconds)} on this machine"
    return f"{sets}. You can cancel at any time: finished rows are kept."
