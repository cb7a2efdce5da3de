"""Widgets that show a choice of :mod:`pages.parts.shared.selection`, and whose change sets it.

::

    st.number_input("Windows", 1, 64, **bound_widgets.choice("windows", "pick.windows", int))
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages.parts.shared import selection


def choice(
    name: str,
    key: str,
    convert: Callable[[Any], Any] = lambda value: value,
    starts: Callable[[Any], dict[str, Any]] = lambda value: {"value": value},
) -> dict[str, Any]:
    """Arguments for a widget that shows the choice ``name``, and whose change sets it.

    ``convert`` turns the widget's value into the choice's (and is not applied the other way). For ``starts`` see
    :func:`widget`.
    """

    def shown() -> Any:
        value = selection.get(name)
        return list(value) if isinstance(value, tuple) else value

    return widget(key, shown, lambda: selection.put(**{name: convert(st.session_state[key])}), starts)


def widget(
    key: str,
    shown: Callable[[], Any],
    take: Callable[[], None],
    starts: Callable[[Any], dict[str, Any]] = lambda value: {"value": value},
) -> dict[str, Any]:
    """Arguments for a widget that shows what ``shown`` returns, and whose change ``take`` makes a choice.

    ``starts`` gives the argument by which such a widget starts with a value: ``value``, ``default`` or ``index``. It
    is needed beside the session's state: where one run follows another before the browser has drawn the first, the
    browser does not hear what the first wrote there, starts with the widget's own default, and sends that back as if
    the person had chosen it.
    """
    before, now = f"{key}.shown", shown()
    if st.session_state.get(key, now) != now and st.session_state.get(before) == now:
        # Only the person has changed something: the callback was stopped when the next click came.
        take()
        now = shown()
    # Writing an unchanged value would throw away what a person is typing while a job's end redraws the page.
    if st.session_state.get(key) != now:
        st.session_state[key] = now
    st.session_state[before] = now
    return {"key": key, "on_change": take} | starts(now)


def default(value: Any) -> dict[str, Any]:
    """How pills start."""
    return {"default": value}


def index_in(options: Sequence[Any]) -> Callable[[Any], dict[str, Any]]:
    """How a box to select one of ``options`` from starts."""
    return lambda value: {"index": options.index(value)}
