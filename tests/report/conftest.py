"""Reports as a browser shows them, and their content."""

import base64
import json
import re
from html import unescape

import numpy as np
import pytest

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=http://127.0.0.1:9/x onerror='window.hacked=1'> & "
)


@pytest.fixture
def show(browser, tmp_path):
    """Opens HTML in a real browser without a network: returns the page, what else it asked for, and complaints."""

    contexts = []

    def opened(html, **context):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        contexts.append(browser.new_context(offline=True, **context))
        page = contexts[-1].new_page()
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.goto(path.as_uri())
        for figure in page.locator(".figure").all():
            figure.locator(".subplot").first.wait_for(state="attached")
        return page, asked[1:], complaints

    yield opened
    for context in contexts:
        context.close()


def figure_data(html):
    """The figures in a report, as plotly gets them."""
    return [
        json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html, re.S)
    ]


def numbers(values):
    """An array of a figure, which plotly packs or leaves as a list."""
    if isinstance(values, list):
        return np.array(values, dtype=float)
    found = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return found.reshape([int(part) for part in values["shape"].split(",")]) if "shape" in values else found


def commands(html):
    """The command lines in a report."""
    return [unescape(text) for text in re.findall(r"<pre>(python -m entviz .*?)</pre>", html, re.S)]


def saved_text(html):
    """The bytes of the text that a report gives away."""
    (data,) = re.findall(r'download="text.txt" href="data:text/plain;charset=utf-8;base64,([^"]*)"', html)
    return base64.b64decode(data)
