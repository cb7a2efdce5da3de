"""A hash of the source that computes a study's result. It is part of the key of the stored result."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import TYPE_CHECKING, Any

from entviz.store.source import digest, imports_in

if TYPE_CHECKING:
    from entviz.studies.study import Study

# A study imports the modules that compute inside these methods, because reading a study must not import torch.
_COMPUTING = ("compute", "read")
_LOADS = "entviz.models.loading"  # every study needs a loaded model


def code_of(study: Study[Any]) -> str:
    """A hash of the source that a study's result depends on."""
    return digest(entry_modules((type(study), type(study.sample))))


@cache
def entry_modules(types: tuple[type, ...]) -> frozenset[str]:
    """The modules of entviz that the types import in the methods that read and compute."""
    found = {_LOADS}
    for one in (base for each in types for base in each.__mro__):
        for name in _COMPUTING:
            if name in vars(one):
                found |= set(imports_in(ast.parse(textwrap.dedent(inspect.getsource(vars(one)[name])))))
    return frozenset(found)
