"""Models with layers on disk: the numbers are those of the model in memory, and the memory is that of one layer."""

import json
import subprocess
import sys

import numpy as np
import psutil
import pytest
import torch

from entviz.analysis import analyze
from entviz.analysis.values import Values
from entviz.blocks import PruneSet
from entviz.decoder.offloading import read, resident, running_device
from entviz.errors import Cancelled, ModelError, OptionError
from entviz.evaluation.loss import evaluate
from entviz.models import load, loading, memory
from entviz.models.places import parse_memory
from entviz.repair.fitting import fit
from entviz.text.windows import Windows
from tests.tiny import OPTIONS, VOCABULARY_SIZE, build

DROP = PruneSet.parse("attn.1,layer.2")


@pytest.fixture(scope="module")
def windows():
    generator = torch.Generator().manual_seed(5)
    return Windows(torch.randint(3, VOCABULARY_SIZE, (6, 24), generator=generator))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Writes a tiny model of an architecture to a directory, once."""
    written = {}

    def write(architecture, **options):
        key = (architecture, *options.items())
        if key not in written:
            written[key] = tmp_path_factory.mktemp(architecture)
            build(architecture, **options).save_pretrained(written[key])
        return str(written[key])

    return write


@pytest.mark.parametrize("architecture", OPTIONS)
def test_the_numbers_are_those_of_the_model_in_memory(architecture, directory, windows):
    name = directory(architecture)
    plain, on_disk = load(name, device="cpu"), load(name, device_map="disk")
    assert on_disk.on_disk
    assert not plain.on_disk
    layers = [on_disk.anatomy.split_layers[index].layer for index in range(on_disk.layers)]
    assert all(weight.is_meta for layer in layers for weight in layer.parameters())
    assert on_disk.fingerprint == plain.fingerprint
    for drop in (None, DROP):
        one, other = (
            analyze(loaded, windows, ("knn(k=3)", "cosine"), drop=drop) for loaded in (plain, on_disk)
        )
        for name in ("sites", "blocks"):
            expected, found = getattr(one, name), getattr(other, name)
            assert [*expected.iloc[:, 0]] == [*found.iloc[:, 0]]
            np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5, atol=1e-6)
        assert one.massive is None or one.massive.equals(other.massive)
    expected, found = (evaluate(loaded, windows, DROP) for loaded in (plain, on_disk))
    assert found.perplexity == pytest.approx(expected.perplexity, rel=1e-6)
    assert found.kl == pytest.approx(expected.kl, rel=1e-5, abs=1e-7)
    assert all(weight.is_meta for layer in layers for weight in layer.parameters())


def test_part_of_the_layers_stays_on_disk_where_memory_is_limited(directory, windows):
    name = directory("llama")
    plain = load(name, device="cpu")
    some = load(name, device_map="auto", max_memory=f"{plain.bytes * 6 // 10}B")
    there = [any(weight.is_meta for weight in step.layer.parameters()) for step in some.anatomy.split_layers]
    assert not all(there)
    assert any(there)
    assert some.bytes <= plain.bytes * 6 // 10
    assert evaluate(some, windows, DROP).perplexity == pytest.approx(
        evaluate(plain, windows, DROP).perplexity, rel=1e-6
    )
    assert not load(name, device_map="auto").on_disk, "all of it fits"


@pytest.mark.parametrize("method", ["bias", "refit", "nbl"])
def test_a_repair_is_fitted_to_layers_on_disk(method, directory):
    generator = torch.Generator().manual_seed(6)
    text = Windows(torch.randint(3, VOCABULARY_SIZE, (16, 24), generator=generator))
    name, drop = directory("llama"), PruneSet.parse("attn.2")
    one, other = (
        evaluate(loaded, text, drop, repair=fit(loaded, text, drop, method))
        for loaded in (load(name, device="cpu"), load(name, device_map="disk"))
    )
    assert other.perplexity == pytest.approx(one.perplexity, rel=1e-5)
    assert other.perplexity != pytest.approx(evaluate(load(name), text, drop).perplexity, rel=1e-5)


def test_another_number_type_is_read_from_the_files_too(directory, windows):
    name = directory("llama")
    plain, on_disk = (
        load(name, **how).in_dtype("bfloat16") for how in ({"device": "cpu"}, {"device_map": "disk"})
    )
    assert on_disk.on_disk
    assert on_disk.dtype == torch.bfloat16
    assert on_disk.fingerprint == plain.fingerprint
    one, other = (evaluate(loaded, windows, DROP).perplexity for loaded in (plain, on_disk))
    assert other == pytest.approx(one, rel=1e-2), "bfloat16 has 8 bits"


def test_a_layer_is_read_once_for_all_that_hold_it(directory):
    loaded = load(directory("llama"), device_map="disk")
    layer = loaded.anatomy.split_layers[1].layer
    with resident(layer):
        first = [id(weight) for weight in layer.parameters()]
        with resident(layer):
            assert [id(weight) for weight in layer.parameters()] == first
        assert not any(weight.is_meta for weight in layer.parameters())
        assert not any(
            w.is_meta for w in loaded.anatomy.split_layers[1].attention_half.parameters() if w.dim() > 1
        )
    assert all(weight.is_meta for weight in layer.parameters())
    assert running_device(layer).type == "cpu"
    known = dict(build("llama").named_parameters())
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(read(loaded.model, name), known[name])


def stopped_in(layer, loaded, windows, **options):
    """Analyze, and stop while a layer is measured."""

    def stop(done, total, partial=None):
        if done > layer * len(windows):
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        analyze(loaded, windows, ("knn(k=3)", "cosine"), progress=stop, **options)


@pytest.mark.parametrize("without", [False, True])
def test_an_analysis_that_was_stopped_goes_on_after_the_last_finished_layer(
    without, directory, windows, tmp_path, monkeypatch
):
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path))
    name = directory("llama")
    loaded = load(name, device_map="disk")
    expected = analyze(load(name, device="cpu"), windows, ("knn(k=3)", "cosine"), without_massive=without)
    stopped_in(2, loaded, windows)
    stopped_in(0, loaded, windows, drop=DROP)  # another one, which must not be mistaken for it
    layers, step = [], Values.step

    def spy(self, token_ids, layer, *args, **options):
        layers.append(layer)
        return step(self, token_ids, layer, *args, **options)

    monkeypatch.setattr(Values, "step", spy)
    found = analyze(loaded, windows, ("knn(k=3)", "cosine"), without_massive=without)
    assert min(layers) == (0 if without else 2)
    np.testing.assert_allclose(found.sites["value"], expected.sites["value"], rtol=1e-5)
    np.testing.assert_allclose(found.blocks["value"], expected.blocks["value"], rtol=1e-5, atol=1e-6)
    assert without or found.massive.equals(expected.massive)


def test_nothing_of_a_complete_analysis_stays_on_disk(directory, windows, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTVIZ_CACHE", str(tmp_path))
    loaded = load(directory("llama"), device_map="disk")
    analyze(loaded, windows, ("cosine",))
    assert not [path for path in (tmp_path / "analyses").rglob("*") if path.stat().st_size > 0]


def test_a_text_whose_states_do_not_fit_on_the_disk_is_refused(directory, windows, monkeypatch):
    loaded = load(directory("llama"), device_map="disk")
    monkeypatch.setattr("entviz.analysis.unfinished._SPARE", 10**18)
    with pytest.raises(OptionError, match=r"GB on disk in .* Choose fewer windows"):
        analyze(loaded, windows, ("cosine",))


def test_what_does_not_fit_into_memory_is_refused_and_told_what_does(directory, monkeypatch):
    name = directory("llama", hidden_size=256, intermediate_size=2048, layers=12)
    whole = load(name, device="cpu").bytes
    with monkeypatch.context() as small:
        run = memory.first_run(load(name, device="cpu").model.config)
        for module in (memory, loading):
            small.setattr(module, "available_bytes", lambda: run + whole // 2)
        with pytest.raises(ModelError, match="leave its layers on disk with the device map disk"):
            load(name, device="cpu")
        assert load(name, device_map="disk").on_disk
    for module in (memory, loading):
        monkeypatch.setattr(module, "available_bytes", lambda: 1_000_000)
    with pytest.raises(ModelError, match="for one layer that is read from disk") as caught:
        load(name, device_map="disk")
    assert "device map" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8GB", {"cpu": 8 * 10**9}),
        ("cpu=1.5GiB, 0=20gb", {"cpu": 3 * 2**29, "0": 20 * 10**9}),
        ("500M", {"cpu": 500_000_000}),
        ("", {}),
    ],
)
def test_amounts_of_memory(text, found):
    assert parse_memory(text) == found


@pytest.mark.parametrize("text", ["much", "8 QB", "gpu=8GB", "-8GB", "8GB=0", "cpu="])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(OptionError, match="Write 8GB"):
        parse_memory(text)


def test_options_that_exclude_each_other_are_refused(directory):
    name = directory("llama")
    with pytest.raises(OptionError, match="Leave out the device, or the map"):
        load(name, device="cpu", device_map="disk")
    with pytest.raises(OptionError, match="no device map 'disc'"):
        load(name, device_map="disc")
    with pytest.raises(OptionError, match="Add one: auto, or disk"):
        load(name, max_memory="8GB")
    with pytest.raises(OptionError, match="no GPU 7"):
        load(name, device_map="auto", max_memory="7=8GB")


MEASURE = """
import sys, threading, time, json, psutil
from entviz.models import load
from entviz.analysis import analyze
from entviz.text.windows import Windows
import torch
process, highest, done = psutil.Process(), 0, False
def watch():
    global highest
    while not done:
        highest = max(highest, process.memory_full_info().uss)
        time.sleep(0.005)
before = process.memory_full_info().uss
threading.Thread(target=watch, daemon=True).start()
loaded = load(sys.argv[1], device_map="disk")
analyze(loaded, Windows(torch.randint(3, 100, (16, 128))), ("cosine", "bucket"))
done = True
print(json.dumps([before, highest]))
"""


@pytest.mark.exhaustive
def test_the_memory_of_a_model_on_disk_stays_below_the_estimate(directory):
    """A model of the shape of one of 7 billion weights with few layers: 1.6 GB of weights."""
    name = directory(
        "llama", layers=6, hidden_size=2048, intermediate_size=5504, num_attention_heads=16, vocab_size=32000
    )
    answer = subprocess.run([sys.executable, "-c", MEASURE, name], capture_output=True, text=True, check=True)
    before, highest = json.loads(answer.stdout)
    checked = loading.check_directory(loading.locate(name), name)
    placement = loading.place(checked.config, torch.float32, "disk")
    need = loading.memory_need(checked, torch.float32, placement)
    assert highest - before <= need.peak
    assert need.peak < 0.8 * checked.plan.parameters * 4


@pytest.mark.exhaustive
def test_an_analysis_whose_process_is_killed_goes_on(directory, tmp_path):
    name = directory("llama", layers=40, hidden_size=256, intermediate_size=512)
    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps(torch.randint(3, 100, (64, 128)).tolist()))
    command = [sys.executable, "-m", "entviz", "analyze", "--model", name, "--token-ids", str(ids), "--json"]
    environment = {"ENTVIZ_CACHE": str(tmp_path / "cache"), "PATH": "", "ENTVIZ_DATABASE": ""}
    environment = {
        **psutil.Process().environ(),
        **environment,
        "ENTVIZ_DATABASE": f"sqlite:///{tmp_path}/a.sqlite",
    }
    whole = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    killed = subprocess.Popen([*command, "--device-map", "disk"], env=environment, stdout=subprocess.DEVNULL)
    while not [*(tmp_path / "cache").rglob("values.json")]:
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    [said] = (tmp_path / "cache").rglob("values.json")
    assert json.loads(said.read_text())["layer"] < 39
    found = json.loads(
        subprocess.run(
            [*command, "--device-map", "disk"], env=environment, capture_output=True, check=True
        ).stdout
    )
    for one, other in zip(whole["sites"], found["sites"], strict=True):
        assert other["value"] == pytest.approx(one["value"], rel=1e-5)
