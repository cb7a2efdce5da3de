"""Download models of the Hugging Face hub into the hub's own cache: only safetensors, config and tokenizer."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm.std import tqdm

from entviz.errors import EntvizError, ModelError
from entviz.models.checks import check_files
from entviz.models.config_file import check_config
from entviz.models.downloads import room_for
from entviz.models.here import earlier_download
from entviz.models.library_errors import telling_line
from entviz.models.memory import check_memory, estimate
from entviz.models.regular_files import read_object
from entviz.progress import Progress, silent

_KEPT_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".tiktoken")


class HubUnreachableError(Exception):
    """The hub does not answer and there is no earlier download; the message is the reason."""


class NotOnHubError(Exception):
    """The hub has no such model, or does not show it to this user."""


def fetched(hub_id: str, bytes_each: int, progress: Progress = silent) -> Path:
    """Return a directory with the model's files; files that are not in the hub's cache yet are downloaded.

    Everything that can be checked before the download is checked before it. A stopped download resumes. If the hub
    cannot be reached, an earlier download is used.

    Args:
        hub_id: ``organization/name``, or only the name for some of the oldest models.
        bytes_each: size of a loaded weight, to check that the model will fit into memory.
        progress: called with the bytes that have arrived and the bytes of all files.

    Raises:
        ModelError: if the model is gated, its files cannot be used, or there is no room for it.
        HubUnreachableError: if the hub does not answer and nothing was downloaded before.
        NotOnHubError: if the hub has no such model.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    api = huggingface_hub.HfApi()
    try:
        info = api.model_info(hub_id, files_metadata=True, timeout=20)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        files = _needed(sizes, hub_id)
        total = sum(sizes[file] for file in files)
        here = sum(sizes[file] for file in files if _is_cached(hub_id, file, info.sha))
        with room_for(hub_id, total - here, Path(constants.HF_HUB_CACHE)) as arrived:
            # Requested without a revision, so that the cache records which one is the newest.
            config = Path(huggingface_hub.hf_hub_download(hub_id, "config.json"))
            checked = check_config(read_object(config, hub_id), hub_id)
            _check_memory(info, bytes_each, checked, hub_id)

            def report(done: int, total: int) -> None:
                arrived(max(0, done - here))
                progress(done, total)

            done = 0
            for file in files:
                bar = _reporting(report, done, total)
                path = Path(huggingface_hub.hf_hub_download(hub_id, file, revision=info.sha, tqdm_class=bar))
                done += sizes[file]
                report(done, total)
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
    except Exception as error:  # networks, servers and disks fail in many ways
        earlier = earlier_download(hub_id)
        if earlier is not None:
            return earlier
        raise HubUnreachableError(telling_line(error)) from error


def _reporting(report: Callable[[int, int], None], before: int, total: int) -> type:
    """A progress bar class, as huggingface_hub takes one, that shows nothing and reports the bytes of one file."""

    class Reporting(tqdm):
        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(disable=True)
            self.here = options.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            self.here += int(n or 0)
            report(min(before + self.here, total), total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes that have arrived are counted once they are written."""

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            """Its speed is not shown."""

    return Reporting


def _is_cached(hub_id: str, file: str, revision: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, file, revision=revision), str)


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


def _check_memory(info: Any, bytes_each: int, model_config: Any, name: str) -> None:
    parameters = getattr(info.safetensors, "total", None)
    if parameters:
        check_memory(estimate(parameters, bytes_each, config=model_config), name)
