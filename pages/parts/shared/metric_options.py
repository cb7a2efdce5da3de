"""Fields for the options of metrics, made from the registry. They hold on all pages, and go into the link."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from entviz.errors import OptionError
from entviz.estimators import METRICS, metric_of
from entviz.estimators.option import Option
from pages.parts.shared import bound_widgets, selection


def draw(metric: str, place: str, width: int | None = None) -> None:
    """A field for each option of a metric, given by name; ``place`` tells it from the same field on another page."""
    for option in METRICS[metric].options():
        key = f"{place}.{metric}.{option.name}"
        number: Any = int if option.whole else float  # a field is of one of the two throughout
        st.number_input(
            f"{METRICS[metric].title}: {option.name}",
            min_value=number(option.low),
            max_value=number(option.high),
            step=number(1),
            format="%d" if option.whole else "%g",
            help=f"{option.purpose.capitalize()}: {option.bounds}. Usually {option.default:g}.",
            width=width or "stretch",
            **bound_widgets.widget(key, partial(_now, metric, option), _taking(metric, option, key)),
        )


def _now(metric: str, option: Option) -> int | float:
    value: int | float = getattr(metric_of(selection.spec(metric)), option.name)
    return value if option.whole else float(value)


def _taking(metric: str, option: Option, key: str) -> Callable[[], None]:
    def take() -> None:
        now = metric_of(selection.spec(metric))
        try:
            spec = replace(now, **{option.name: st.session_state[key]}).spec
        except OptionError as error:  # the field goes back to what it was
            st.toast(str(error), icon=":material/error:")
            return
        selection.put(options=selection.with_options([spec]))

    return take
