"""Turn the rows of published data sets into items, worded as in lm-evaluation-harness without examples.

The source is the harness's task files (https://github.com/EleutherAI/lm-evaluation-harness, lm_eval/tasks) at version
0.4.13. A row is a row of the data set on the hub. For a row in another form, a function raises the error of the failing
access.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from entviz.tasks.items import Item

Row = Mapping[str, Any]


def piqa(row: Row) -> Item:
    """A goal, and which of two ways reaches it."""
    return Item.ask(f"Question: {row['goal']}\nAnswer:", [row["sol1"], row["sol2"]], int(row["label"]))


def hellaswag(row: Row) -> Item:
    """A scene, and which of four endings follows."""
    scene = f"{row['ctx_a']} {row['ctx_b'].capitalize()}"
    context = _without_markup(f"{row['activity_label']}: {scene}")
    return Item.ask(context, [_without_markup(ending) for ending in row["endings"]], int(row["label"]))


def _without_markup(text: str) -> str:
    text = text.strip().replace(" [title]", ". ")  # marks in the WikiHow part
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def winogrande(row: Row) -> Item:
    """A sentence with a gap, and which of two names fills it: the name after which the rest is likelier."""
    before, _, after = row["sentence"].partition("_")
    contexts = (before + row["option1"], before + row["option2"])
    return Item(contexts, (after.strip(),) * 2, int(row["answer"]) - 1)


def arc(row: Row) -> Item:
    """A question of natural science, and its answer among three to five."""
    choices = row["choices"]
    context = f"Question: {row['question']}\nAnswer:"
    return Item.ask(context, choices["text"], list(choices["label"]).index(row["answerKey"]))


def openbookqa(row: Row) -> Item:
    """The beginning of a statement of elementary science, and which of four ends is true."""
    choices = row["choices"]
    return Item.ask(
        row["question_stem"], choices["text"], list(choices["label"]).index(row["answerKey"].strip())
    )


def commonsenseqa(row: Row) -> Item:
    """A question with five answers named A to E; the letter is what is scored."""
    return _exam(row["question"].strip(), row["choices"]["text"], "ABCDE".index(row["answerKey"]))


def mmlu(row: Row) -> Item:
    """An exam question of one of 57 subjects with four answers named A to D; the letter is what is scored."""
    subject = row["subject"].replace("_", " ")
    introduction = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    return _exam(introduction + row["question"].strip(), row["choices"], int(row["answer"]))


def _exam(question: str, answers: list[str], answer: int) -> Item:
    letters = "ABCDE"[: len(answers)]
    lines = [f"{letter}. {text}" for letter, text in zip(letters, answers, strict=True)]
    return Item.ask("\n".join([question, *lines, "Answer:"]), list(letters), answer)


def race(row: Row) -> Item:
    """An article with all questions answered except the last, and four possible answers to the last question."""
    *earlier, last = ast.literal_eval(row["problems"])
    context = f"Article: {row['article']}\n\n"
    for problem in earlier:
        question, answer = problem["question"], problem["options"]["ABCD".index(problem["answer"])]
        if question.endswith("  _  ."):  # a sentence to complete; the others are questions
            context += f"{question[:-5]}{answer}\n"
        else:
            context += f"Question: {question}\nAnswer: {answer}\n"
    return Item.ask(context + last["question"], last["options"][:4], "ABCD".index(last["answer"]))
