"""The only runtime of the process, and its limits."""

import pytest

from entviz.errors import EntvizError
from entviz.runtime import process, runtime
from tests.together import at_once


@pytest.fixture
def fresh_process(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "_runtime", None)
    monkeypatch.setenv("ENTVIZ_DATABASE", f"sqlite:///{tmp_path}/process.sqlite")
    yield
    if process._runtime is not None:
        process._runtime.close()


def test_there_is_one_runtime_in_a_process(fresh_process, monkeypatch):
    monkeypatch.setenv("ENTVIZ_LIVE_JOBS", "3")
    monkeypatch.setenv("ENTVIZ_STORE_MB", "7")
    found = at_once(runtime)
    assert len(set(map(id, found))) == 1
    assert (found[0].worker.live, found[0].store.disk_bytes) == (3, 7_000_000)


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", ""])
def test_a_limit_that_is_no_number_is_refused(fresh_process, monkeypatch, value):
    monkeypatch.setenv("ENTVIZ_MODELS_KEPT", value)
    with pytest.raises(EntvizError, match="ENTVIZ_MODELS_KEPT"):
        runtime()
