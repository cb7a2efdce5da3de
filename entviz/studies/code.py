"""The source that computes a study's result, as a hash that the result is stored under."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import TYPE_CHECKING, Any

from entviz.store.source import digest, imports_in

if TYPE_CHECKING:
    from entviz.studies.study import Study

# A study imports what computes inside these, since looking at a study must not import torch.
_COMPUTING = ("compute", "read")
_LOADS = "entviz.models.loading"  # every study is of a model that was loaded


def code_of(study: Study[Any]) -> str:
    """A hash of the source that a study's result depends on."""
    return digest(entry_modules((type(study), type(study.sample))))


@cache
def entry_modules(types: tuple[type, ...]) -> frozenset[str]:
    """The modules of entviz that the types import where they read and compute."""
    found = {_LOADS}
    for one in (base for each in types for base in each.__mro__):
        for name in _COMPUTING:
            if name in vars(one):
                found |= set(imports_in(ast.parse(textwrap.dedent(inspect.getsource(vars(one)[name])))))
    return frozenset(found)
