"""Class names to vectors by a sentence-embedding model; needs the extra ``transformers``."""

import importlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64

from kantor.core.errors import DataError
from kantor.core.optional import optional


@torch.no_grad()
def sentence_vectors(model: str, names: Sequence[str], template: str = "{}") -> Float64[np.ndarray, "names dim"]:
    """The mean of a text encoder's last hidden states over each name's tokens (as sentence-transformers pools).

    Args:
        model: a folder or hub name that transformers loads.
        names: class names; underscores are read as spaces.
        template: the sentence around a name, as ``a photo of a {}``.

    Raises:
        ConfigError: transformers is not installed.
        DataError: the model cannot be loaded.
    """
    with optional("A sentence-embedding model needs transformers", "transformers"):
        # By name: an optional package that the type checker need not find.
        transformers = importlib.import_module("transformers")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        encoder, found = transformers.AutoModel.from_pretrained(
            model, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:  # what a folder says can make transformers raise anything
        raise DataError(f"transformers cannot load a text encoder from {model}: {error}") from None
    # A checkpoint that lacks weights gets them at random; the pooler's are not used here.
    lacking = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if lacking:
        raise DataError(f"The text encoder {model} lacks weights ({', '.join(lacking[:3])}). Copy it again.")
    encoder.float().eval()  # of weights kept in half precision too
    tokens = tokenizer([template.format(name.replace("_", " ")) for name in names], padding=True, return_tensors="pt")
    hidden = encoder(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return ((hidden * mask).sum(1) / mask.sum(1)).double().numpy()
