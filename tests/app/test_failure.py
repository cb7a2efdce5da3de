"""A page that fails unexpectedly keeps its frame and shows a sentence about the failure."""

from tests.app.conftest import settle, words


def test_a_page_that_fails_says_so_and_logs_the_traceback(open_app, monkeypatch, caplog):
    from pages.parts.shared import selection

    app = settle(open_app("explore"))

    def broken():
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(selection, "current", broken)
    app.run()
    assert not app.exception
    assert "Something failed inside entviz" in words(app)
    assert "nobody foresaw this" in caplog.text
    assert app.sidebar.selectbox  # what the user chose is still there
    caplog.clear()
    monkeypatch.undo()
    app.run()
    assert "Something failed" not in words(app)
