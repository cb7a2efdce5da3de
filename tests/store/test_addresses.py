"""A named database that cannot be used: a sentence says why and what to do, and never shows the password."""

import importlib.util
import re
import socket
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from entviz.store.faults import explain
from entviz.studies.registry import open_store
from tests.store.results import put

SECRET = "hunter2+x"


def trouble(url):
    store = open_store(url)
    put(store, "k")
    assert store.get("k") is not None
    assert [run.key for run in store.runs()] == ["k"], "in memory until the program ends"
    said = store.trouble
    assert said.startswith("Results are kept in memory only, until the program ends, because ")
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 500
    assert store.unreadable.startswith("What was kept cannot be read because ")
    store.close()
    return said


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "is not the address"),
        (f"postgresql://me:pw@host:{SECRET}/x", "is not the address"),
        (f"oracle+nothing://me:{SECRET}@host/x", "is not the address"),
        (f"postgresql://me:pw@{SECRET}@host/x", "has two @"),
        ("sqlite:////nowhere/at/all/runs.sqlite", "the folder of /nowhere/at/all/runs.sqlite does not exist"),
    ],
)
def test_an_address_that_is_none_is_said_without_what_may_be_a_password(url, words, caplog):
    said = trouble(url)
    assert words in said
    assert SECRET not in said + caplog.text


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        (f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/x", "psycopg", "psycopg[binary]"),
        (f"postgresql+psycopg2://me:{SECRET}@127.0.0.1:1/x", "psycopg2", "psycopg2-binary"),
        (f"mysql://me:{SECRET}@127.0.0.1:1/x", "MySQLdb", "mysqlclient"),
        (f"mssql+pyodbc://me:{SECRET}@127.0.0.1:1/x", "pyodbc", "pyodbc"),
    ],
)
def test_a_driver_that_is_missing_is_named_by_its_package(url, module, package, caplog):
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed here")
    said = trouble(url)
    assert f'pip install "{package}"' in said
    assert SECRET not in said + caplog.text


def test_a_server_that_refuses_is_quoted_without_the_password(caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = trouble(f"mysql+pymysql://me:{quote(SECRET)}@127.0.0.1:{port}/x")
    assert "the mysql database on 127.0.0.1 cannot be used" in said
    assert "refused" in said
    assert SECRET not in said + caplog.text


@pytest.mark.parametrize("written", [SECRET, quote(SECRET), repr(SECRET)])
def test_a_password_that_a_driver_repeats_is_struck_out(written):
    url = make_url(f"postgresql+psycopg://me:{quote(SECRET)}@host/x?sslpassword=another")
    error = RuntimeError(f"cannot log in with {written} or another")
    said = str(explain(error, "the postgresql database on host", url))
    assert "cannot log in with" in said
    assert SECRET not in said
    assert written not in said
    assert "another" not in said


def test_what_a_driver_says_is_quoted_by_its_first_line():
    said = str(explain(RuntimeError("\n  it went wrong\n  Hint: somewhere"), "the postgresql database on h"))
    assert re.fullmatch(r"the postgresql database on h cannot be used \(it went wrong\): .+\.", said)
