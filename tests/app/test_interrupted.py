"""A newer click may stop a run at any access to the session's state; a choice is never left half made."""

from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.runtime.state import SafeSessionState, SessionState, query_params_proxy, session_state_proxy

from entviz.models import DEFAULT_MODEL
from entviz.store import Run
from pages.parts.compare import choices, comparison_request, earlier
from pages.parts.runs import opening
from pages.parts.shared import address, atomic_state, bound_widgets, pickers, selection

MOST = 200  # accesses, far more than there are


class Stopped(BaseException):
    """As Streamlit's own is, no Exception."""


@pytest.fixture
def session(monkeypatch):
    """``session(query, widgets)`` makes a session's state; ``stop_at(n)`` then stops at the access after n others."""

    def make(query, **widgets):
        left = [MOST]

        def accessed():
            left[0] -= 1
            if left[0] < 0:
                raise Stopped

        state = SafeSessionState(SessionState(), accessed)
        for module in (session_state_proxy, query_params_proxy):
            monkeypatch.setattr(module, "get_session_state", lambda: state)
        with state.query_params() as params:
            params.populate_from_query_string(query)
        st.session_state.update(widgets)
        return SimpleNamespace(stop_at=lambda accesses: left.__setitem__(0, accesses))

    return make


def stopped_everywhere(prepare, act, look):
    """What ``look`` sees after ``act`` was stopped at its first access, at its second ... and once it was not."""
    seen = []
    for accesses in range(MOST):
        session = prepare()
        session.stop_at(accesses)
        try:
            act()
        except Stopped:
            ended = False
        else:
            ended = True
        session.stop_at(MOST)
        seen.append(look())
        if ended:
            assert accesses > 2, "it was hardly ever stopped"
            return seen
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize(
    ("name", "key", "old", "picked", "new"),
    [
        ("windows", "pick.windows", 4, 9, 9),
        ("level", "explore.level", ("layer", "attn"), ["attn", "mlp", "layer"], ("layer", "attn", "mlp")),
    ],
)
def test_what_was_picked_is_chosen_in_the_next_run_where_the_callback_was_stopped(
    session, name, key, old, picked, new
):
    def bound():
        return bound_widgets.choice(name, key, lambda value: new if isinstance(value, list) else value)

    def prepare():
        made = session("")
        selection.put(**{name: old})
        prepare.change = bound()["on_change"]
        st.session_state[key] = picked  # as the browser sends it
        return made

    def look():
        bound()
        return selection.get(name), st.session_state[key]

    seen = stopped_everywhere(prepare, lambda: prepare.change(), look)
    assert set(map(str, seen)) == {str((new, list(new) if isinstance(new, tuple) else new))}


def test_a_choice_that_the_program_made_is_shown_whatever_the_widget_said(session):
    session("")
    bound_widgets.choice("windows", "pick.windows")
    selection.put(windows=7)
    bound_widgets.choice("windows", "pick.windows")
    assert (selection.get("windows"), st.session_state["pick.windows"]) == (7, 7)


def test_a_model_is_named_in_its_field_only_when_it_is_the_one_in_view(session):
    seen = stopped_everywhere(
        lambda: session("", **{"pick.other_model": "someone/model"}),
        pickers._choose_other_model,
        lambda: (selection.get("other_model"), selection.get("model")),
    )
    assert set(seen) == {("", DEFAULT_MODEL), ("someone/model", "someone/model")}
    assert seen[-1] == ("someone/model", "someone/model")


def test_a_model_that_is_picked_takes_the_place_of_one_that_a_link_asked_for(session):
    def prepare():
        made = session("", **{"pick.model": "gpt2"})
        selection.put(asked_model="someone/model")
        return made

    seen = stopped_everywhere(
        prepare,
        pickers._choose_model,
        lambda: (selection.get("asked_model"), selection.get("model")),
    )
    assert set(seen) == {("someone/model", DEFAULT_MODEL), ("", "gpt2")}


def test_an_uploaded_text_is_never_under_another_files_name(session):
    def prepare():
        file = SimpleNamespace(name="new.txt", getvalue=lambda: b"new")
        made = session("", **{"pick.upload": file})
        selection.put(uploaded_name="old.txt", uploaded_text="old")
        return made

    seen = stopped_everywhere(
        prepare,
        pickers._take_upload,
        lambda: (selection.get("uploaded_name"), selection.get("uploaded_text")),
    )
    assert set(seen) == {("old.txt", "old"), ("new.txt", "new")}


def test_a_link_is_taken_over_whole_in_the_next_run_where_the_first_was_stopped(session):
    def run():
        address.read("explore")
        address.write()

    def look():
        run()  # the next run, which nobody stops; the browser still has the link that it had
        return tuple(map(selection.get, ("text_name", "windows", "length", "drop")))

    seen = stopped_everywhere(lambda: session("text=law&windows=7&length=96&drop=mlp.3"), run, look)
    assert set(seen) == {("law", 7, 96, "mlp.3")}


def test_a_choice_stays_where_the_run_was_stopped_while_it_wrote_the_address(session):
    def prepare():
        made = session("text=law&windows=7")
        address.read("explore")
        address.write()
        selection.put(text_name="news")
        return made

    def run():
        address.read("explore")
        address.write()

    def look():
        run()
        return selection.get("text_name"), st.query_params["text"]

    assert set(stopped_everywhere(prepare, run, look)) == {("news", "news")}


COMPARED = {
    "criteria": ["cosine", "search"],
    "budgets": ["3", "6"],
    "levels": ["mlp"],
    "seeds": 2,
    "seconds": 45.0,
    "measure_on": "",
    "task": "",
    "limit": None,
    "windows": 7,
    "window_length": 96,
}


def test_a_comparison_that_goes_on_has_all_its_choices_or_none(session):
    def prepare():
        made = session("", **{"compare.criteria": ["last"], "compare.seeds": 9})
        selection.put(windows=4)
        return made

    def act():
        earlier._go_on(selection.current(), COMPARED)

    def look():
        atomic_state.finish()  # as the next run does, which nobody stops
        asked = comparison_request.ComparisonRequest(selection.current(), choices.of_run(COMPARED))
        keys = ("compare.criteria", "compare.levels", "compare.budgets", "compare.seeds", "compare.seconds")
        return str(
            (
                selection.get("windows"),
                selection.get("length"),
                *(st.session_state.get(key) for key in keys),
                comparison_request.is_started(asked),
            )
        )

    seen = stopped_everywhere(prepare, act, look)
    old = str((4, 128, ["last"], None, None, 9, None, False))
    assert set(seen) == {old, seen[-1]}
    assert seen[-1] == str((7, 96, ["cosine", "search"], ["mlp"], "3, 6", 2, 45, True))


def test_a_run_is_opened_with_all_its_choices_or_not_at_all(session, monkeypatch):
    monkeypatch.setattr(opening, "is_here", lambda name: True)
    options = {"windows": 2, "window_length": 64, "drop": "attn.5", "dtype": "float32"}
    run = Run("evaluation", "gpt2", options=options)

    def look():
        atomic_state.finish()
        chosen = tuple(map(selection.get, ("model", "typed_text", "windows", "length", "drop")))
        return (*chosen, st.session_state.get("prune.float32"), st.session_state.get("runs.go"))

    seen = stopped_everywhere(lambda: session(""), lambda: opening._open(run, "A text.", "prune"), look)
    old = (DEFAULT_MODEL, "", 4, 128, "", None, None)
    assert set(seen) == {old, ("gpt2", "A text.", 2, 64, "attn.5", True, "prune")}


def test_what_is_chosen_after_an_opened_run_is_not_undone(session):
    session("")
    atomic_state.choose({"windows": 7}, {})
    selection.put(windows=9)
    atomic_state.finish()
    assert selection.get("windows") == 9
