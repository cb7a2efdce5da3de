"""The order of a sweep's work: choices first, each once; what is lost comes again, once."""

import pytest

from entviz.sweep.cells import Cell
from entviz.sweep.queue import Queue


def cell(budget, criterion="cosine", model="m", on="news"):
    return Cell(model, criterion, "attn", budget, "", "text", on)


def key(of):
    return None if of.criterion == "dense" else f"{of.model} {of.criterion}"


@pytest.fixture
def cells():
    return [cell("1"), cell("2"), cell("1", "last"), cell("", "dense"), cell("1", model="n")]


def drained(queue, model="m"):
    found = []
    while (task := queue.take(model)) is not None:
        found.append(task)
    return found


def test_a_choice_is_taken_once_and_its_cells_after_it(cells):
    queue = Queue(cells[:4], key)
    first = drained(queue)
    assert [task.choice for task in first] == ["m cosine", "m last", None]
    assert not queue.is_done
    queue.finish(first[0])
    assert [task.cell for task in drained(queue)] == cells[:2]


def test_it_is_done_when_nothing_is_left_or_under_way(cells):
    queue = Queue(cells[3:4], key)
    (task,) = drained(queue)
    assert queue.takeable() == {}
    assert not queue.is_done
    queue.finish(task)
    assert queue.is_done
    assert Queue([], key).is_done


def test_more_is_expected_of_a_model_while_its_cells_wait_for_a_choice(cells):
    queue = Queue(cells, key)
    (task,) = drained(queue, "n")
    assert queue.expects("n")
    queue.finish(task)
    drained(queue, "n")
    assert not queue.expects("n")
    assert queue.expects("m")
    assert not queue.expects("nobody")


def test_models_are_apart(cells):
    queue = Queue(cells, key)
    assert queue.takeable() == {"m": 3, "n": 1}
    drained(queue, "n")
    assert queue.takeable() == {"m": 3}
    assert queue.take("n") is None
    assert queue.take("nobody") is None


def test_a_lost_task_comes_again_before_others_and_fails_the_second_time(cells):
    queue = Queue([cells[3], cell("", "dense", on="law")], key)
    task = queue.take("m")
    assert queue.lose(task) == []
    assert queue.take("m") == task
    assert queue.lose(task) == [task.cell]
    assert [other.cell.on for other in drained(queue)] == ["law"]


def test_a_failed_choice_fails_all_its_cells_and_no_others(cells):
    queue = Queue(cells[:4], key)
    task = queue.take("m")
    assert queue.fail(task) == cells[:2]
    assert [other.choice for other in drained(queue)] == ["m last", None]
