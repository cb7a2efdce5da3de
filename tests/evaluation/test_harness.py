"""The same items in lm-evaluation-harness: the same likelihoods and accuracies, dense and really pruned.

The harness runs plain transformers models: a copy of the model, from which layers are deleted. Its task file is
written here, and its items are those that are built in.
"""

import json
import logging

import pytest

from entviz.blocks import PruneSet
from entviz.evaluation.tasks import evaluate_task
from entviz.models import LoadedModel
from entviz.tasks import BUILT_IN, Task, read_task
from tests.altered import without
from tests.models.files import tokenizer
from tests.tiny import build

TASK_FILE = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {data}
  cache_dir: {cache}
output_type: multiple_choice
validation_split: validation
test_split: null
doc_to_text: context
doc_to_target: answer
doc_to_choice: choices
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """Runs the harness: accuracy, normalized accuracy and each item's log-likelihoods."""
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)

    def run(model, of_tokens, task: Task) -> tuple[float, float, list[list[float]]]:
        folder = tmp_path / task.name
        folder.mkdir(exist_ok=True)
        data = folder / "items.jsonl"
        data.write_text("".join(json.dumps(item.to_json()) + "\n" for item in task.items))
        name = f"local_{task.name.replace('-', '_')}"
        (folder / "task.yaml").write_text(TASK_FILE.format(name=name, data=data, cache=tmp_path / "cache"))
        found = lm_eval.simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=of_tokens, batch_size=8, max_length=120, device="cpu"),
            tasks=[name],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            bootstrap_iters=0,
            log_samples=True,
        )
        samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
        likelihoods = [[float(answer[0][0]) for answer in sample["resps"]] for sample in samples]
        return found["results"][name]["acc,none"], found["results"][name]["acc_norm,none"], likelihoods

    return run


@pytest.mark.parametrize(("name", "drop"), [*((name, "") for name in BUILT_IN), ("common-sense", "layer.1")])
def test_every_likelihood_of_a_tiny_model(harness, name, drop):
    loaded = LoadedModel.of(build("llama"), tokenizer())
    task, drop = read_task(name).first(12), PruneSet.parse(drop)
    accuracy, normalized, likelihoods = harness(without(loaded.model, drop), loaded.tokenizer, task)
    found = evaluate_task(loaded, task, drop)
    for item, wanted in enumerate(likelihoods):
        assert found.log_likelihood[item] == pytest.approx(wanted, rel=1e-5, abs=1e-4), item
    assert (found.accuracy, found.accuracy_normalized) == pytest.approx((accuracy, normalized))


@pytest.mark.parametrize("drop", ["", "layer.10,layer.24"], ids=["dense", "pruned"])
def test_accuracy_of_the_default_model(harness, smollm2, drop):
    items = [item for name in ("common-sense", "word-meaning") for item in read_task(name).items[:4]]
    task, drop = Task("both", tuple(items)), PruneSet.parse(drop)
    accuracy, normalized, likelihoods = harness(without(smollm2.model, drop), smollm2.tokenizer, task)
    found = evaluate_task(smollm2, task, drop)
    for item, wanted in enumerate(likelihoods):
        assert found.log_likelihood[item] == pytest.approx(wanted, abs=2e-3), item
    assert (found.accuracy, found.accuracy_normalized) == pytest.approx((accuracy, normalized))
