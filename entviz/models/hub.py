"""Models of the Hugging Face hub, fetched into the hub's own cache: safetensors, config and tokenizer, nothing else."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm.std import tqdm

from entviz.errors import EntvizError, ModelError
from entviz.models.checks import check_config, check_directory, check_files
from entviz.models.library_errors import telling_line
from entviz.models.memory import check_memory, estimate
from entviz.progress import Progress, silent

_KEPT_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".tiktoken")


class HubUnreachableError(Exception):
    """The hub does not answer and there is no earlier download; the message is the reason."""


class NotOnHubError(Exception):
    """The hub has no such model, or does not say so to this user."""


def fetched(hub_id: str, bytes_each: int, progress: Progress = silent) -> Path:
    """Return a directory with the model's files, downloading what is not in the hub's cache yet.

    Everything that can be known before the download is checked before it. A download that was stopped goes on where
    it was. Where the hub cannot be reached, an earlier download is used.

    Args:
        hub_id: ``organization/name``, or the bare name of one of the oldest models.
        bytes_each: size of a loaded weight, to see whether the model will fit into memory.
        progress: told the bytes that are there and the bytes of all files.

    Raises:
        ModelError: if the model is gated, its files cannot be used, or it does not fit.
        HubUnreachableError: if the hub does not answer and nothing was downloaded before.
        NotOnHubError: if the hub has no such model.
    """
    import huggingface_hub
    from huggingface_hub import errors

    api = huggingface_hub.HfApi()
    try:
        info = api.model_info(hub_id, files_metadata=True, timeout=20)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        files = _needed(sizes, hub_id)
        config = Path(huggingface_hub.hf_hub_download(hub_id, "config.json"))
        checked = check_config(json.loads(config.read_text("utf-8")), hub_id)
        total = sum(sizes[file] for file in files)
        _check_room(info, total, bytes_each, checked, hub_id)
        done = 0
        for file in files:
            bar = _reporting(progress, done, total)
            path = Path(huggingface_hub.hf_hub_download(hub_id, file, revision=info.sha, tqdm_class=bar))
            done += sizes[file]
            progress(done, total)
        return path.parent
    except EntvizError:
        raise
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{hub_id} is gated: its authors ask you to accept their terms first. Accept them on the model's page on "
            "the Hugging Face hub, then log in once with the command: hf auth login"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise NotOnHubError(hub_id) from error
    except Exception as error:  # the many ways in which a network, a server or a disk fails
        earlier = huggingface_hub.try_to_load_from_cache(hub_id, "config.json")
        if isinstance(earlier, str) and _is_whole(Path(earlier).parent):
            return Path(earlier).parent
        raise HubUnreachableError(telling_line(error)) from error


def _reporting(progress: Progress, before: int, total: int) -> type:
    """A progress bar class, as huggingface_hub takes one, that shows nothing and reports the bytes of one file."""

    class Reporting(tqdm):
        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(disable=True)
            self.here = options.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            self.here += int(n or 0)
            progress(min(before + self.here, total), total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes that have arrived are counted once they are written."""

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            """Its speed is not shown."""

    return Reporting


def _is_whole(directory: Path) -> bool:
    try:
        check_directory(directory, directory.name)
    except ModelError:
        return False
    return True


def _needed(files: Iterable[str], name: str) -> list[str]:
    """The files to download: those at the top that transformers reads, one format of the weights only."""
    top = [file for file in files if "/" not in file]
    weights = check_files(top, name)[0]
    shards = [file for file in top if file.startswith("model-") and file.endswith(".safetensors")]
    return [
        *(shards if weights.endswith(".json") else ()),
        weights,
        *(file for file in top if file.endswith(_KEPT_SUFFIXES) and not file.endswith(".index.json")),
    ]


def _check_room(info: Any, size: int, bytes_each: int, model_config: Any, name: str) -> None:
    from huggingface_hub import constants

    parameters = getattr(info.safetensors, "total", None)
    if parameters:
        check_memory(estimate(parameters, bytes_each, config=model_config), name)
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if size > free:
        raise ModelError(
            f"{name} takes {size / 1e9:.1f} GB on the disk, and {free / 1e9:.1f} GB are free. Make room in {cache}, "
            "or point the environment variable HF_HOME to another disk."
        )
