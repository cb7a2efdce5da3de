"""Every place that reads something from outside, with valid samples of what it reads.

A new reader of files, fields or links gets a function here that makes odd input from a good sample and reads it.
"""

import json
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

from entviz.blocks import Block, PruneSet
from entviz.comparison.grid.contenders import contenders
from entviz.criteria.budget import Budget
from entviz.errors import EntvizError
from entviz.estimators import canonical, split
from entviz.export.recipe import read_recipe
from entviz.limits import limit
from entviz.models.checks import check_directory
from entviz.models.config_file import check_config
from entviz.models.headers import WEIGHTS_INDEX, safetensors_header
from entviz.models.loading import locate
from entviz.models.regular_files import read_json
from entviz.store.codec import UnreadableError, pack, unpack
from entviz.studies import result_type
from entviz.tasks import parse_jsonl
from entviz.text.files import decode_text, read_text, read_token_ids
from entviz.text.windows import windows_from_token_ids
from pages.parts.shared import address
from tests.fuzz import odd
from tests.models.files import saved
from tests.store.results import EXAMPLES

Boundary = Callable[[Random, Path], None]

_RECIPE = {
    "entviz_recipe": 1,
    "model": "smollm2-135m",
    "fingerprint": "0" * 32,
    "layers": 30,
    "drop": ["attn.5", "layer.7"],
    "criterion": "cosine",
    "measured": {
        "text": "story.txt",
        "windows": 4,
        "window_length": 128,
        "dtype": "float32",
        "dense_perplexity": 21.5,
        "perplexity": 33.1,
        "kl": 0.2,
        "top1_agreement": 0.8,
        "dense_parameters": 134_515_008,
        "parameters": 120_000_000,
    },
}
_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 101,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": [2],
    "torch_dtype": "float32",
    "attention_bias": False,
}
_TENSORS = {
    "__metadata__": {"format": "pt"},
    "model.embed_tokens.weight": {"dtype": "F32", "shape": [101, 32], "data_offsets": [0, 12928]},
    "model.norm.weight": {"dtype": "F32", "shape": [32], "data_offsets": [12928, 13056]},
}
_ITEM = {"context": "The opposite of hot is", "choices": ["cold", "warm"], "answer": 0}
_LINK = {
    "model": ["smollm2-135m", "someone/model", "./models/mine"],
    "text": ["news", "own", "~eJwLyUhVKCzNTM5WSCrKL89TSMuvUMgqzS0oBgBkBgiB"],
    "windows": ["4"],
    "length": ["128"],
    "metrics": ["bucket,knn,cosine", "knn(k=5),renyi(alpha=2)"],
    "options": ["knn(k=5)", "bucket(buckets=40),renyi(alpha=0.5)"],
    "level": ["layer,attn,mlp"],
    "drop": ["attn.5,layer.7", ""],
    "repair": ["refit", "bias"],
    "calibration": ["own", "~eJwLyUhVKCzNTM5WSCrKL89TSMuvUMgqzS0oBgBkBgiB"],
    "written": ["no", "yes"],
}


def prune_set(random: Random, _folder: Path) -> None:
    written = odd.text(random, ["attn.5,layer.7", "mlp.0", "", "attn.1 attn.2;attn.3", "layer.29"])
    PruneSet.parse(written).check(30)


def budget(random: Random, _folder: Path) -> None:
    written = odd.text(random, ["8", "20%", "50MB", "20% memory", "15% latency", "1.5GB", "0"])
    blocks = [Block("attn", i) for i in range(3)]
    asked = Budget.parse(written)
    asked.cut(blocks, dict.fromkeys(blocks, 1.0))


def criteria(random: Random, _folder: Path) -> None:
    names = odd.text(
        random,
        [
            "entrodrop:knn,cosine,random",
            "entrodrop",
            "search",
            "entrodrop:knn:stage-2",
            "entrodrop:knn(k=5),cosine",
        ],
    ).split(",")
    contenders(
        names, odd.text(random, ["attn", "layer,mlp", "attn+mlp"]).split(","), seeds=random.randrange(-1, 60)
    )


def metric(random: Random, _folder: Path) -> None:
    written = odd.text(
        random,
        [
            "knn(k=5)",
            "bucket(buckets=40),cosine",
            "renyi(alpha=2.5)",
            "matrix",
            "knn(k=5,k=6",
            "renyi(alpha=)",
        ],
    )
    for spec in split(written):
        assert canonical(canonical(spec)) == canonical(spec)


def recipe(random: Random, _folder: Path) -> None:
    written = odd.document(random, _RECIPE).encode("utf-8", "surrogatepass")
    read_recipe(odd.data(random, [written]) if random.random() < 0.3 else written)


def link(random: Random, _folder: Path) -> None:
    name = random.choice(list(address._READERS))
    value = odd.text(random, _LINK.get(name, [""]))
    try:
        address._READERS[name](value)
    except ValueError as error:  # how a reader says that a value will not do
        if type(error) is not ValueError or not 20 < len(str(error)) < 500:
            raise AssertionError(repr(error)) from error


def task_file(random: Random, _folder: Path) -> None:
    lines = [odd.document(random, _ITEM) for _ in range(random.randrange(1, 4))]
    written = "\n".join([json.dumps(_ITEM), *lines]).encode("utf-8", "surrogatepass")
    parse_jsonl(odd.data(random, [written]) if random.random() < 0.3 else written, "items.jsonl")


def text_bytes(random: Random, _folder: Path) -> None:
    encodings = [
        "utf-8",
        "utf-16",
        "cp1252",
        "latin-1",
        "undefined",
        "idna",
        "hex",
        "rot13",
        "punycode",
        "utf-7",
    ]
    encoding = random.choice([None, *encodings, odd.text(random, encodings)])
    decode_text(
        odd.data(random, ["The harbour – quiet.\r\n".encode(), "é".encode("utf-16"), b"a\0b"]), encoding
    )


def file_names(random: Random, folder: Path) -> None:
    name = odd.text(
        random,
        ["story.txt", str(folder), f"{folder}/none.txt", "/dev/null", "/dev/zero", "~nobody/x", "x" * 5000],
    )
    for read in (read_text, read_token_ids, read_recipe):
        _refused(lambda read=read: read(name))


def token_ids(random: Random, folder: Path) -> None:
    path = folder / "ids.json"
    path.write_bytes(odd.document(random, [[3, 1, 4, 1], [5, 9, 2, 6]]).encode("utf-8", "surrogatepass"))
    windows_from_token_ids(read_token_ids(path), 101)


def config(random: Random, folder: Path) -> None:
    path = folder / "config.json"
    path.write_bytes(odd.document(random, _CONFIG).encode("utf-8", "surrogatepass"))
    check_config(read_json(path, "the model"), "the model")


def tensor_header(random: Random, folder: Path) -> None:
    header = odd.document(random, _TENSORS).encode("utf-8", "surrogatepass")
    whole = struct.pack("<Q", len(header)) + header + bytes(13056)
    path = folder / "model.safetensors"
    path.write_bytes(odd.data(random, [whole]) if random.random() < 0.3 else whole)
    safetensors_header(path, "the model")


def model_directory(random: Random, folder: Path) -> None:
    """A whole model, of which the config or the index is odd."""
    directory = folder / "model"
    shard = directory / "model-00001-of-00001.safetensors"
    if not directory.exists():
        saved(directory, layers=1, with_tokenizer=False)
        (directory / "model.safetensors").rename(shard)
        (directory / "config.json").rename(directory / "whole.json")
    index = {"metadata": {}, "weight_map": dict.fromkeys(safetensors_header(shard, "the model"), shard.name)}
    files = {"config.json": json.loads((directory / "whole.json").read_text()), WEIGHTS_INDEX: index}
    chosen = random.choice(list(files))
    for name, content in files.items():
        written = odd.document(random, content) if name == chosen else json.dumps(content)
        (directory / name).write_bytes(written.encode("utf-8", "surrogatepass"))
    check_directory(directory, "the model")


def model_name(random: Random, folder: Path) -> None:
    locate(
        odd.text(
            random, [f"{folder}/none", "someone/model", "smollm2-135", "a.gguf", "~nobody", "models--a--b"]
        )
    )


def setting(random: Random, _folder: Path) -> None:
    value = odd.text(random, ["500", "0", "-1", "1e3"])
    if "\0" in value:
        return  # no environment can hold it
    try:
        os.environ["ENTVIZ_STORE_MB"] = value
    except UnicodeEncodeError:
        return
    try:
        limit("ENTVIZ_STORE_MB", 500)
    finally:
        del os.environ["ENTVIZ_STORE_MB"]


@cache
def _packed(kind: str) -> bytes:
    return pack(kind, EXAMPLES[kind]())[0]


def kept_result(random: Random, _folder: Path) -> None:
    kind = random.choice(sorted(EXAMPLES))
    with suppress(UnreadableError):  # how the store hears that a result has to be computed again
        unpack(kind, odd.data(random, [_packed(kind)]), result_type)


def _refused(read: Callable[[], object]) -> None:
    try:
        read()
    except EntvizError as error:
        sentence(error)


def sentence(error: Exception) -> None:
    """What a person is to read: not empty, not a page long, and characters that a browser takes."""
    assert 10 < len(str(error).encode()) < 3000, ascii(error)


BOUNDARIES: tuple[Boundary, ...] = (
    prune_set,
    budget,
    criteria,
    metric,
    recipe,
    link,
    task_file,
    text_bytes,
    file_names,
    token_ids,
    config,
    tensor_header,
    model_directory,
    model_name,
    setting,
    kept_result,
)
