from .analysis import Analysis as Analysis
from .analysis import analyze as analyze
from .blocks import Block as Block
from .blocks import PruneSet as PruneSet
from .criteria.choosing import rank as rank
from .criteria.ranking import Ranking as Ranking
from .decoder.states import StateCache as StateCache
from .errors import EntvizError as EntvizError
from .evaluation.generation import Generation as Generation
from .evaluation.generation import generate as generate
from .evaluation.loss import Evaluation as Evaluation
from .evaluation.loss import evaluate as evaluate
from .models.loaded import LoadedModel as LoadedModel
from .models.loading import load as load
from .text.windows import Windows as Windows
from .text.windows import windows_from_text as windows_from_text
from .text.windows import windows_from_token_ids as windows_from_token_ids

__version__: str
