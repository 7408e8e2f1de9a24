"""A model: normalisation, network and class names in one module."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from kantor.capture import call
from kantor.capture.layout import logits_of
from kantor.core.errors import ShapeError
from kantor.core.inputs import Inputs, shown
from kantor.data.tokenizer import Tokenizer
from kantor.models.normalise import Normalise
from kantor.models.weights import write_weights


class Model(nn.Module):
    """Samples as the data has them (pixels in [0, 1], numbers, or tokens) to logits.

    Paths for ``kantor.capture`` are those of ``network``.

    Attributes:
        name: short, for tables: ``resnet8``.
        spec: what builds the network again, without weights: ``resnet8@width=0.5``.
        network: from normalised samples to logits.
        normalise: what stands before it; its numbers are kept in the file's metadata, not among the weights.
        num_classes: how many logits.
        class_names: what they mean, if known.
        input_shape: of one sample, ``(channels, height, width)`` or ``(numbers,)``; of a text ``(tokens, vocabulary)``.
        tokenizer: what texts became the tokens by that it learnt from; None where it sees none.
        size: images are resized to this height and width before the network (bilinear, antialiased); None keeps them.
        recipe: what else its maker needs to make it again, as JSON holds it.
        says_tokens: the logits are of the next token, at every place: the classes are the tokenizer's tokens. Logits
            beyond them, by which some vocabularies are filled up to a round number, are left out.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        num_classes: int,
        input_shape: tuple[int, ...],
        normalise: Normalise | None = None,
        class_names: Sequence[str] | None = None,
        spec: str | None = None,
        size: int | None = None,
        recipe: dict[str, Any] | None = None,
        tokenizer: Tokenizer | None = None,
        says_tokens: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.spec = spec or name
        self.network = network
        self.normalise = normalise or Normalise("none")
        self.num_classes = num_classes
        self.class_names = None if class_names is None else list(class_names)
        self.input_shape = tuple(input_shape)
        self.size = size
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.says_tokens = says_tokens
        if says_tokens and tokenizer is not None:
            self.num_classes, self.class_names = tokenizer.vocabulary, list(tokenizer.tokens)

    def forward(
        self, x: Float[Tensor, "batch ..."] | None = None, **named: Shaped[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch classes"]:
        """The logits of samples, which are one tensor, or tensors by the names of the network's arguments.

        Raises:
            ShapeError: the samples have another number of dimensions or channels than the model was built for.
        """
        if x is None:
            if len(self.input_shape) != 2:
                raise ShapeError(
                    f"{self.name} was built for samples of shape {self.input_shape}, and sees {shown(named)}."
                )
            logits = logits_of(call(self.network, named), self.name)
            return logits[..., : self.num_classes] if self.says_tokens else logits
        if x.ndim != 1 + len(self.input_shape) or x.shape[1] != self.input_shape[0]:
            raise ShapeError(
                f"{self.name} was built for samples of shape {self.input_shape}; this batch is {tuple(x.shape)}. "
                "Load the model with the data's input_shape."
            )
        if self.size is not None and tuple(x.shape[2:]) != (self.size, self.size):
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)
        return logits_of(call(self.network, self.normalise(x)), self.name)

    @property
    def path_root(self) -> nn.Module:
        """Where module paths start: ``layer3``, not ``network.layer3``."""
        return self.network

    @property
    def needs_fit(self) -> bool:
        """Its normaliser must see training data first (``normalise=standard``)."""
        return self.normalise.needs_fit

    def fit_normaliser(self, x: Inputs) -> None:
        """Take mean and deviation from training samples, ``[n, d]`` or ``[n, c, h, w]``, where normalise=standard.

        Raises:
            ConfigError: the model normalises by something else.
        """
        assert isinstance(x, Tensor)  # of texts nothing is normalised
        self.normalise.fit(x)

    def weights_digest(self) -> str:
        """A SHA-256 over all that decides the outputs: architecture, preprocessing, and every bit of every weight."""
        digest = hashlib.sha256(self.made_by().encode())
        for key, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def made_by(self, normalised: bool = True) -> str:
        """All but the weights that decides the outputs, as JSON: architecture, and what stands before it.

        Args:
            normalised: with the normaliser's numbers, which may have been fitted to data.
        """
        known: list[Any] = [self.spec, self.size, *([self.normalise.facts()] if normalised else [])]
        if self.recipe is not None:  # where it came from, and by which version, decides nothing
            known.append({k: v for k, v in self.recipe.items() if k not in ("_name_or_path", "transformers_version")})
        return json.dumps(known, sort_keys=self.recipe is not None)

    def facts(self) -> dict[str, Any]:
        """What is written beside the weights, so that the file alone says what the model is."""
        return {
            "spec": self.spec,
            "num_classes": self.num_classes,
            "class_names": None if self.says_tokens else self.class_names,
            "input_shape": list(self.input_shape),
            "normalise": self.normalise.facts(),
            "size": self.size,
            **({} if self.recipe is None else {"recipe": self.recipe}),
            **({} if self.tokenizer is None else {"tokenizer": self.tokenizer.facts()}),
            **({"says_tokens": True} if self.says_tokens else {}),
        }

    def save(self, path: str | Path) -> None:
        """Write the network's weights as safetensors, with ``facts()`` as metadata, atomically.

        ``load("NAME:FILE")`` reads it back; the keys are the network's own, so other tools read it too.

        Raises:
            KantorError: the disk is full, or the folder cannot be written.
        """
        write_weights(Path(path), self.network.state_dict(), self.facts())

    def extra_repr(self) -> str:
        """Name, input and classes, as they are printed."""
        return f"{self.name}, input={self.input_shape}, classes={self.num_classes}"
