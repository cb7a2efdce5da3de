from .catalog import CATALOG as CATALOG
from .catalog import DEFAULT_MODEL as DEFAULT_MODEL
from .catalog import CatalogEntry as CatalogEntry
from .loaded import LoadedModel as LoadedModel
from .loading import load as load
