"""Workers of Ray: the table of one process, whoever dies meanwhile."""

import importlib.util

import pytest

from entviz.errors import OptionError, StoreError
from entviz.studies.registry import open_store
from entviz.sweep.crew import Alone
from entviz.sweep.sweep import sweep
from tests.store import postgres
from tests.sweep.clusters import (
    comes_to_be,
    is_at_work,
    kill_machine,
    raylet_of,
    wait_for,
    workers_below,
    workers_here,
)

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]

MANY = {
    "criteria": ["cosine", "last", "random", "leave-one-out"],
    "levels": ["attn", "mlp"],
    "repairs": ["none", "bias"],
    "seeds": 2,
}


@pytest.fixture
def undisturbed(configured, tmp_path):
    """The table of a sweep in this process, with a database of its own."""

    def run(**changes):
        store = open_store(f"sqlite:///{tmp_path}/undisturbed.sqlite")
        config = configured(**changes)
        table = sweep(config, store, Alone(config, store))
        store.close()
        return table

    return run


def test_two_workers_give_the_table_of_one(configured, store, undisturbed):
    from entviz.sweep.rays import RayCrew

    config, seen = configured(**MANY, tasks=["grammar"], task_limit=2), set()

    def look(*_):
        seen.update(process.pid for process in workers_here())

    with RayCrew(config, workers=2) as crew:
        table = sweep(config, store, crew, progress=look)
    assert table.frame().equals(undisturbed(**MANY, tasks=["grammar"], task_limit=2).frame())
    assert len(seen) == 2, "each loads its model once and keeps it"
    again = sweep(config, open_store(), Alone(config, store))
    assert all(row.known for row in again.rows)


@pytest.mark.parametrize("times", [1, 2])
def test_a_killed_worker_is_replaced_once_and_then_its_cells_fail_by_name(configured, store, times):
    from entviz.sweep.rays import RayCrew

    config, killed, told = configured(criteria=["last"], budgets=[1]), set(), []

    def kill(*_):
        for process in workers_here():
            if process.pid not in killed and len(killed) < times:
                killed.add(process.pid)
                process.kill()

    with RayCrew(config, workers=1) as crew:
        table = sweep(config, store, crew, progress=kill, told=told.append)
    assert len(killed) == times
    assert ["tried again. Its worker died" in sentence for sentence in told[:1]] == [True]
    assert table.counts() == {"done": 2 * (times == 1), "failed": 2 * (times == 2), "missing": 0}
    if times == 2:
        assert all(row.reason.startswith("Its worker died (") for row in table.rows)


@pytest.mark.skipif(bool(postgres.why_not()), reason=postgres.why_not() or "can be started")
def test_a_machine_that_is_killed_midway_takes_nothing_along(configured, undisturbed, monkeypatch):
    from ray.cluster_utils import Cluster

    from entviz.sweep.rays import RayCrew

    with postgres.server() as running:
        monkeypatch.setenv("ENTVIZ_DATABASE", running.address)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        other = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        config, store, told, finished = configured(**MANY), open_store(), [], {}

        def kill(done, total, partial=None, /):
            """Kill the other machine in the middle of a task, once it has taken part."""
            if done < 3 or finished:
                return
            raylet = raylet_of(other)
            wait_for(lambda: workers_below(raylet))  # nobody gets a new task meanwhile
            if not comes_to_be(lambda: any(map(is_at_work, workers_below(raylet))), 0.3):
                return  # it waits for its next task, which it gets after this
            kill_machine(raylet)
            kinds = ["evaluation", "repaired evaluation"]
            finished.update({run.key: run.created for run in store.runs(kind=kinds, limit=1000)})

        try:
            with RayCrew(config, workers=2, address=cluster.address) as crew:
                table = sweep(config, store, crew, progress=kill, told=told.append)
        finally:
            cluster.shutdown()
        assert len(finished) >= 3
        assert any("tried again. Its worker died" in sentence for sentence in told)
        assert table.counts() == {"done": len(table.rows), "failed": 0, "missing": 0}
        assert table.frame().equals(undisturbed(**MANY).frame())
        after = {run.key: run.created for run in store.runs(limit=1000)}
        assert finished.items() <= after.items(), "what was finished was not done again"
        store.close()


def test_workers_keep_what_the_command_keeps(configured, store, monkeypatch):
    """With their machine's usual bound instead of the command's, workers would remove what others have found."""
    from entviz.sweep.rays import RayCrew

    config = configured(criteria=["random"], seeds=2)
    with RayCrew(config, workers=1) as crew:
        monkeypatch.setattr(crew, "_disk_bytes", 1000)
        table = sweep(config, store, crew)
    assert table.counts()["done"] == len(table.rows) == 8
    assert sum(run.bytes for run in store.runs(kind="evaluation")) <= 1000


def test_workers_are_placed_by_what_they_need(configured, store):
    """A GPU that is only counted: each worker takes half of it, so two of the four that were asked for find room."""
    from ray.cluster_utils import Cluster

    from entviz.sweep.rays import RayCrew

    arguments = {"num_cpus": 4, "num_gpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=arguments)
    config, at_once = configured(**MANY, gpus=0.5), []
    raylet = raylet_of(cluster.head_node)

    try:
        with RayCrew(config, workers=4, address=cluster.address) as crew:
            table = sweep(config, store, crew, progress=lambda *_: at_once.append(len(workers_below(raylet))))
    finally:
        cluster.shutdown()
    assert table.counts()["done"] == len(table.rows)
    assert max(at_once) == 2


def test_a_cluster_that_is_not_there_is_a_sentence(configured):
    from entviz.sweep.rays import RayCrew

    with pytest.raises(OptionError, match=r"no Ray cluster at 127\.0\.0\.1:1 "):
        RayCrew(configured(), address="127.0.0.1:1").__enter__()


def test_a_database_that_workers_cannot_write_ends_the_sweep(configured, store, tmp_path):
    from entviz.sweep.rays import RayCrew

    config, nowhere = configured(), f"sqlite:///{tmp_path}/no/folder/runs.sqlite"
    with (
        RayCrew(config, workers=1, database=nowhere) as crew,
        pytest.raises(StoreError, match="could be kept"),
    ):
        sweep(config, store, crew)


def test_a_worker_that_fits_no_machine_is_a_sentence(configured, store, monkeypatch):
    from entviz.sweep import rays

    monkeypatch.setattr(rays, "PATIENCE", 2.0)
    config = configured(memory_gb=10_000)
    with (
        rays.RayCrew(config, workers=1) as crew,
        pytest.raises(OptionError, match=r"No machine has room .* 1 processors, 0 GPUs and 10000\.00 GB"),
    ):
        sweep(config, store, crew)
