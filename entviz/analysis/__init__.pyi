from .measuring import analyze as analyze
from .measuring import measurable as measurable
from .result import Analysis as Analysis
