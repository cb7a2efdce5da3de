"""The repairs, in the order in which they are offered. To add one: a class in a file of its own, and a line here."""

from entviz.registry import Registry
from entviz.repair.bias import Bias
from entviz.repair.ghosted import Ghosted
from entviz.repair.method import Method
from entviz.repair.nbl import BlockLinearization
from entviz.repair.prune_comp import PruneComp
from entviz.repair.refit import Refit, RefitAll
from entviz.repair.replaceme import ReplaceMe
from entviz.repair.without_bias import RefitAllWithoutBias, RefitWithoutBias

METHODS: Registry[type[Method]] = Registry(
    "a repair",
    (
        Refit,
        RefitAll,
        Bias,
        BlockLinearization,
        Ghosted,
        PruneComp,
        ReplaceMe,
        RefitWithoutBias,
        RefitAllWithoutBias,
    ),
)
