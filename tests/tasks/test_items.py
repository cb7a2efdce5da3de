"""Multiple-choice items: built-in ones, users' files with every mistake, and local copies of data sets of the hub."""

import json
from collections import Counter

import datasets
import pytest

from entviz.errors import OptionError, TextError
from entviz.tasks import BUILT_IN, Item, Task, parse_jsonl, read_task, task_titles
from entviz.tasks.hub import HUB_TASKS
from entviz.tasks.jsonl import to_jsonl

GOOD = '{"context": "Grass is", "choices": ["green", "red"], "answer": 0}'


class TestBuiltIn:
    @pytest.mark.parametrize("name", BUILT_IN)
    def test_fifty_well_formed_items(self, name):
        task = read_task(name)
        assert task.name == name
        assert len(task.items) == 50
        assert len({(item.contexts, frozenset(item.choices)) for item in task.items}) == 50
        for item in task.items:
            assert len(set(item.choices)) == len(item.choices)
            for text in (*item.choices, *item.contexts):
                assert text == text.strip()
                assert "  " not in text
        assert len({len(item.choices) for item in task.items}) == 1

    @pytest.mark.parametrize("name", BUILT_IN)
    def test_answers_are_balanced(self, name):
        task = read_task(name)
        choices = len(task.items[0].choices)
        places = Counter(item.answer for item in task.items)
        assert set(places) == set(range(choices))
        assert max(places.values()) - min(places.values()) <= 2
        assert task.chance == pytest.approx(1 / choices)

    @pytest.mark.parametrize("name", BUILT_IN)
    def test_length_does_not_give_the_answer_away(self, name):
        longest = [
            max(range(len(item.choices)), key=lambda i, item=item: len(item.choices[i])) == item.answer
            for item in read_task(name).items
        ]
        chance = read_task(name).chance
        assert abs(sum(longest) / 50 - chance) < 0.25

    def test_arithmetic_is_right(self):
        numbers = (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        )
        numbers += "sixteen seventeen eighteen nineteen"
        value = {word: number for number, word in enumerate(numbers.split())}
        for number, tens in enumerate(
            ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
        ):
            value[tens] = 10 * number
            for unit in range(1, 10):
                value[f"{tens}-{numbers.split()[unit]}"] = 10 * number + unit
        value["one hundred"] = value["a hundred"] = 100
        ways = {
            "plus": int.__add__,
            "minus": int.__sub__,
            "times": int.__mul__,
            "divided by": int.__floordiv__,
        }
        checked = 0
        for item in read_task("arithmetic-in-words").items:
            sentence = item.contexts[0].lower().removesuffix(" is")
            for word, way in ways.items():
                one, found, other = sentence.partition(f" {word} ")
                if found and one in value and other in value:
                    assert value[item.choices[item.answer]] == way(value[one], value[other]), sentence
                    assert [value[choice] for choice in item.choices].count(
                        way(value[one], value[other])
                    ) == 1
                    checked += 1
        assert checked >= 18  # the others tell a story


class TestFiles:
    def test_items_are_read_as_written(self):
        lines = [
            GOOD,
            "",
            '{"context": ["He", "She"], "choices": ["runs", "runs"], "answer": 1, "id": 7}',
            '{"context": "", "choices": ["a", "b", "ü"], "answer": 2}',
        ]
        task = parse_jsonl(b"\xef\xbb\xbf" + "\r\n".join(lines).encode(), "mine.jsonl")
        assert task.name == "mine"
        assert task.items[0] == Item.ask("Grass is", ["green", "red"], 0)
        assert task.items[1].contexts == ("He", "She")
        assert task.items[2].choices[2] == "ü"
        assert parse_jsonl(to_jsonl(task).encode(), "mine.jsonl") == task

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("grass", "This is not JSON"),
            ('{"context": "a"', "This is not JSON"),
            ("[1, 2]", "not a JSON object"),
            ('{"choices": ["a", "b"], "answer": 0}', "'context' is missing"),
            ('{"context": "a", "answer": 0}', "'choices' is missing"),
            ('{"context": "a", "choices": ["a", "b"]}', "'answer' is missing"),
            ('{"context": 1, "choices": ["a", "b"], "answer": 0}', "'context' must be a text"),
            ('{"context": "a", "choices": "ab", "answer": 0}', "'choices' must be a list of texts"),
            ('{"context": "a", "choices": ["a", 2], "answer": 0}', "'choices' must be a list of texts"),
            ('{"context": "a", "choices": ["a"], "answer": 0}', "2 to 32 choices, but this one has 1"),
            ('{"context": "a", "choices": ["a", " "], "answer": 0}', "A choice is empty"),
            ('{"context": "a", "choices": ["a", "b"], "answer": 2}', "0 to 1, not 2"),
            ('{"context": "a", "choices": ["a", "b"], "answer": -1}', "0 to 1, not -1"),
            ('{"context": "a", "choices": ["a", "b"], "answer": "0"}', "'answer' must be a whole number"),
            ('{"context": "a", "choices": ["a", "b"], "answer": true}', "'answer' must be a whole number"),
            ('{"context": ["a"], "choices": ["a", "b"], "answer": 0}', "1 contexts for 2 choices"),
            ('{"context": "\\ud800", "choices": ["a", "b"], "answer": 0}', "half a character"),
            ('{"context": "a", "choices": ["a", "b"], "answer": ' + "9" * 5000 + "}", "This is not JSON"),
            ("[" * 100_000, "This is not JSON"),
        ],
    )
    def test_a_mistake_is_named_with_its_line(self, line, says):
        with pytest.raises(TextError) as caught:
            parse_jsonl(f"{GOOD}\n\n{line}\n".encode(), "mine.jsonl")
        message = str(caught.value)
        assert message.startswith("mine.jsonl, line 3: ")
        assert says in message
        assert len(message) < 400

    def test_a_line_that_is_not_utf_8(self):
        with pytest.raises(TextError, match="line 2: This is not JSON in UTF-8"):
            parse_jsonl(
                GOOD.encode() + b"\n" + GOOD.replace("Grass", "Gr\xe4s").encode("latin-1"), "mine.jsonl"
            )

    def test_files_that_are_none(self, tmp_path):
        (tmp_path / "empty.jsonl").write_text("\n\n")
        with pytest.raises(TextError, match=r"empty.jsonl has no items"):
            read_task(tmp_path / "empty.jsonl")
        with pytest.raises(TextError, match="cannot be read"):
            read_task(tmp_path / "nowhere.jsonl")
        with pytest.raises(TextError, match="cannot be read"):
            read_task(tmp_path)
        with pytest.raises(
            OptionError, match=r"There is no task 'trivia'\. Give a JSONL file, or one of common-sense"
        ):
            read_task("trivia")

    def test_a_limit(self):
        task = Task("three", (Item.ask("", ["a", "b"], 0),) * 3)
        assert [len(task.first(limit).items) for limit in (None, 1, 3, 9)] == [3, 1, 3, 3]
        with pytest.raises(OptionError, match="at least 1 item, not 0"):
            task.first(0)

    def test_fingerprints_tell_items_apart(self):
        one, other = Item.ask("a", ["b", "c"], 0), Item.ask("a", ["b", "c"], 1)
        assert Task("x", (one,)).fingerprint == Task("y", (one,)).fingerprint
        assert (
            len({Task("x", items).fingerprint for items in [(one,), (other,), (one, other), (other, one)]})
            == 4
        )


# --- the hub's tasks, on a local copy --------------------------------------------------------------------------------

EXAM = {"label": ["A", "B", "C", "D"], "text": ["iron", "wood", "glass", "air"]}
# A row as each data set has it, with the context, the choices and the answer that the harness makes of it.
ROWS = {
    "piqa": (
        {"goal": "Boil an egg", "sol1": "in water", "sol2": "in sand", "label": 0},
        ("Question: Boil an egg\nAnswer:", ["in water", "in sand"], 0),
    ),
    "hellaswag": (
        {
            "activity_label": "Baking",
            "ctx_a": "A man mixes dough [title] slowly.",
            "ctx_b": "he",
            "endings": ["bakes [x] it.", "sings.", "runs.", "sleeps."],
            "label": "0",
        },
        ("Baking: A man mixes dough. slowly. He", ["bakes it.", "sings.", "runs.", "sleeps."], 0),
    ),
    "winogrande": (
        {
            "sentence": "Ann thanked Eve because _ had helped.",
            "option1": "Ann",
            "option2": "Eve",
            "answer": "2",
        },
        (["Ann thanked Eve because Ann", "Ann thanked Eve because Eve"], ["had helped."] * 2, 1),
    ),
    "arc-easy": (
        {"question": "What rusts?", "choices": EXAM, "answerKey": "A"},
        ("Question: What rusts?\nAnswer:", EXAM["text"], 0),
    ),
    "arc-challenge": (
        {"question": "What burns?", "choices": {**EXAM, "label": ["1", "2", "3", "4"]}, "answerKey": "2"},
        ("Question: What burns?\nAnswer:", EXAM["text"], 1),
    ),
    "openbookqa": (
        {"question_stem": "A nail is made of", "choices": EXAM, "answerKey": "A"},
        ("A nail is made of", EXAM["text"], 0),
    ),
    "commonsenseqa": (
        {
            "question": "Where is a book?",
            "choices": {"label": list("ABCDE"), "text": ["shelf", "sky", "sea", "oven", "tree"]},
            "answerKey": "A",
        },
        (
            "Where is a book?\nA. shelf\nB. sky\nC. sea\nD. oven\nE. tree\nAnswer:",
            list("ABCDE"),
            0,
        ),
    ),
    "mmlu": (
        {"question": "2 + 2?", "subject": "abstract_algebra", "choices": ["1", "2", "3", "4"], "answer": 3},
        (
            "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
            "2 + 2?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:",
            list("ABCD"),
            3,
        ),
    ),
    "race": (
        {
            "article": "Tom ran.",
            "problems": str(
                [
                    {"question": "Who ran?", "answer": "B", "options": ["Ann", "Tom", "Eve", "Sam"]},
                    {"question": "Tom  _  .", "answer": "A", "options": ["ran", "sat", "hid", "fell"]},
                    {"question": "What is it?", "answer": "D", "options": ["a", "b", "c", "d"]},
                ]
            ),
        },
        (
            "Article: Tom ran.\n\nQuestion: Who ran?\nAnswer: Tom\nTom ran\nWhat is it?",
            ["a", "b", "c", "d"],
            3,
        ),
    ),
}


@pytest.fixture
def local(tmp_path, monkeypatch):
    """Makes a hub task read a directory with a copy of its data set, and keep what it read in an empty cache."""
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

    def make(name, rows):
        import dataclasses

        task = dataclasses.replace(HUB_TASKS[name], root=str(tmp_path / "hub"))
        folder = tmp_path / "hub" / task.repository / task.folder
        folder.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(rows).to_parquet(folder / "0000.parquet")
        monkeypatch.setitem(HUB_TASKS, name, task)
        return folder / "0000.parquet"

    return make


def test_every_task_of_the_hub_has_a_row_here():
    assert set(ROWS) == set(HUB_TASKS)
    assert list(task_titles()) == [*BUILT_IN, *HUB_TASKS]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_worded_as_the_harness_words_it(name, local):
    row, (context, choices, answer) = ROWS[name]
    local(name, [row, row])
    task = read_task(name)
    contexts = context if isinstance(context, list) else [context] * len(choices)
    assert task.name == name
    assert task.items == (Item(tuple(contexts), tuple(choices), answer),) * 2


def test_a_task_is_fetched_once(local):
    file = local("piqa", [ROWS["piqa"][0]])
    first = read_task("piqa")
    file.unlink()
    assert read_task("piqa") == first


def test_a_damaged_copy_is_fetched_again(local, tmp_path):
    local("piqa", [ROWS["piqa"][0]])
    first = read_task("piqa")
    (kept,) = (tmp_path / "cache" / "tasks").iterdir()
    kept.write_text(json.dumps({"context": "cut"})[:-4])
    assert read_task("piqa") == first


def test_a_data_set_that_has_changed_and_one_that_is_not_there(local, tmp_path):
    local("piqa", [{"question": "other columns"}])
    with pytest.raises(TextError, match="no longer has the form that the task piqa expects"):
        read_task("piqa")
    file = local("arc-easy", [ROWS["arc-easy"][0]])
    file.unlink()
    with pytest.raises(TextError, match=r"could not be fetched .* choose a built-in task"):
        read_task("arc-easy")
    assert not list((tmp_path / "cache").glob("tasks/*"))
