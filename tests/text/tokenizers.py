"""Tokenizers that begin and end a text in different ways, for models of ``tests.tiny``."""

from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from tests.models.files import tokenizer

PAD, BOS, EOS = 0, 1, 2


def adding(template: str) -> PreTrainedTokenizerFast:
    """The tokenizer of single letters with a post-processor, such as ``"<s> $A </s>"``."""
    made = tokenizer()
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single=template, special_tokens=[("<pad>", PAD), ("<s>", BOS), ("</s>", EOS)]
    )
    return made


def knowing_more(*tokens: str) -> PreTrainedTokenizerFast:
    """The tokenizer of single letters with more tokens, from id 98 on."""
    made = tokenizer()
    made.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    return made
