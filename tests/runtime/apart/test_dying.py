"""A child that dies costs at most the request that it computed, and nobody else anything but time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from entviz.errors import ProcessEndedError
from entviz.runtime import Runtime
from entviz.runtime.apart import Apart, Settings
from entviz.studies.registry import open_store
from tests.runtime.apart.work import AbortingStudy, Aborts, Steps, ask, lines
from tests.runtime.asking import MODEL, SAMPLE, evaluation, result_of


def test_a_request_whose_process_is_killed_is_computed_once_more(apart, tmp_path, until, note):
    file = tmp_path / "steps"
    job = ask(apart, Steps(file, count=200), "a")
    until(lambda: job.done > 5)
    first = apart.engine.pid
    os.kill(first, signal.SIGKILL)
    assert result_of(job) == apart.engine.pid != first
    by_process = [process for process, *_ in lines(file)]
    assert by_process.count(apart.engine.pid) == 200
    assert 5 < by_process.count(first) < 200
    assert "signal 9" in note[0]


def test_a_second_death_is_a_sentence_and_who_waits_is_served(apart, tmp_path, until, note):
    files = {name: tmp_path / name for name in ("victim", "other")}
    job = ask(apart, Steps(files["victim"], count=3000), "a")
    other = ask(apart, Steps(files["other"], count=3), "b")  # of another session, behind it in the queue
    until(lambda: job.done > 5)
    dead = []
    while not job.finished:
        until(lambda: job.finished or any(pid not in dead for pid, *_ in lines(files["victim"])))
        if not job.finished:
            pid = apart.engine.pid
            if pid is not None and pid not in dead:
                dead.append(pid)
                os.kill(pid, signal.SIGKILL)
    assert len(dead) in (2, 3), "one of them may have come while the other computed, who is then to blame"
    assert type(job.error) is ProcessEndedError
    assert str(job.error) == (
        "The process that computes was ended by the system (signal 9), most likely for want of memory. Choose fewer or "
        "shorter windows, or a smaller model."
    )
    result_of(other)
    assert result_of(ask(apart, Steps(files["other"], count=3), "c")) == apart.engine.pid
    until(lambda: not apart.worker._threads)


@pytest.mark.exhaustive
def test_a_study_that_aborts_in_native_code(apart, alone, tmp_path, note):
    with pytest.raises(ProcessEndedError, match="signal 6, SIGABRT"):
        result_of(apart.ask(AbortingStudy(alone, tmp_path / "tries"), "a"))
    assert (tmp_path / "tries").read_text().count("try") == 2
    assert result_of(apart.ask(evaluation(SAMPLE, "mlp.8"), "b")).windows == 2


def test_a_request_that_aborts_once(apart, tmp_path, note):
    assert result_of(ask(apart, Aborts(tmp_path / "tries", 1))) == 2


@pytest.mark.exhaustive
def test_who_only_waits_for_a_turn_is_not_blamed(apart, tmp_path, until, note):
    """A request that is paused each time the child dies begins again each time."""
    waiting = ask(apart, Steps(tmp_path / "waiting", "waiting", count=150), "a")
    for name in ("first", "second"):
        until(lambda: any(process == apart.engine.pid for process, *_ in lines(tmp_path / "waiting")))
        aborts = ask(apart, Aborts(tmp_path / name, 2), "b")
        assert aborts.wait(60)
        assert type(aborts.error) is ProcessEndedError
    assert len(note) >= 4
    assert result_of(waiting) == apart.engine.pid


@pytest.mark.exhaustive
def test_the_server_holds_no_weights(tmp_path):
    """Of two processes, the weights' file is in the memory of the child alone. A fresh server: this one may hold it."""
    script = f"""
import psutil
from entviz.runtime import runtime
from tests.runtime.asking import SAMPLE, evaluation, result_of

here = runtime()
result_of(here.ask(evaluation(SAMPLE, "attn.5"), "a"))

def weights(process):
    return sum(one.rss for one in process.memory_maps() if one.path.endswith(".safetensors"))

server = psutil.Process()
(child,) = server.children()
assert here.engine.holds({MODEL!r})
print(weights(server), weights(child), server.memory_info().rss, child.memory_info().rss)
"""
    environment = os.environ | {
        "ENTVIZ_DATABASE": f"sqlite:///{tmp_path}/runs.sqlite",
        "ENTVIZ_PROCESS_APART": "1",
    }
    found = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    mine, childs, server, child = map(int, found.stdout.split())
    assert mine == 0
    assert childs > 200e6
    assert child - server > 300e6


@pytest.mark.parametrize("end", ["close", "kill"])
def test_the_child_ends_with_the_server(tmp_path, until, end):
    """However the server ends, and while its child computes."""
    script = f"""
import sys, time
from pathlib import Path
from entviz.runtime import runtime
from tests.runtime.apart.work import Steps, ask

here = runtime()
job = ask(here, Steps(Path({str(tmp_path / "steps")!r}), count=100_000))
while job.done < 3:
    time.sleep(0.01)
print(here.engine.pid, flush=True)
if {end!r} == "kill":
    job.wait()
"""
    environment = os.environ | {
        "ENTVIZ_DATABASE": f"sqlite:///{tmp_path}/runs.sqlite",
        "ENTVIZ_PROCESS_APART": "1",
    }
    server = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    child = psutil.Process(int(server.stdout.readline()))
    if end == "kill":
        server.kill()
    assert server.wait(60) == (0 if end == "close" else -signal.SIGKILL)
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10)


def test_a_process_that_cannot_be_started_is_a_sentence(tmp_path, monkeypatch):
    store = open_store(f"sqlite:///{tmp_path}/runs.sqlite")
    runtime = Runtime(store=store, engine=Apart(store, Settings()))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    job = runtime.ask(evaluation(SAMPLE, "attn.5"), "a")
    assert job.wait(60)
    assert type(job.error) is ProcessEndedError
    assert "ENTVIZ_PROCESS_APART=0" in str(job.error)
    runtime.close()
