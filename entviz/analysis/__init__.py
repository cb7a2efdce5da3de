"""Entropy at every site and cosine importance of every block of a model on a text, dense or without some blocks.

    analysis = analyze(load(), windows_from_text(text, tokenizer), metrics=("bucket", "cosine"))
    analysis.sites        # one row per site and metric
    analysis.blocks       # one row per block and metric: entropy increase, or importance for cosine
    analyze(loaded, windows, drop=PruneSet.parse("attn.7"), dense=analysis)   # the curves of the pruned model

Hidden states are measured during the forward pass and then freed, so memory does not grow with the text. Reading a
result imports no torch; measuring does.
"""

import lazy_loader

# Each name is imported when it is first used; ``__init__.pyi`` lists the modules.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
