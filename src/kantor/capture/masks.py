"""Which tokens are padding: the masks and lengths among a network's inputs, and which of them is a layer's."""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from kantor.capture.hooks import LOGITS, PENULTIMATE
from kantor.core.errors import ConfigError, ShapeError
from kantor.core.inputs import Inputs, tensors_of

Meaning = Literal["kept", "padding", "other"]
"""What a mask says where it is true or not 0: that the token counts, that it is padding, or nothing of padding."""

KNOWN: Mapping[str, Meaning] = {
    **dict.fromkeys(("attention_mask", "encoder_attention_mask", "decoder_attention_mask", "mask"), "kept"),
    **dict.fromkeys(("padding_mask", "key_padding_mask", "memory_key_padding_mask"), "padding"),
    **dict.fromkeys(("src_key_padding_mask", "tgt_key_padding_mask"), "padding"),
    **dict.fromkeys(("head_mask", "decoder_head_mask", "cross_attn_head_mask"), "other"),
    **dict.fromkeys(("global_attention_mask", "bool_masked_pos"), "other"),
}
"""By the name of the argument, as transformers and torch mean it; a ``mask`` counts where it is true."""
LENGTHS = ("lengths", "length", "input_lengths", "seq_lengths")
"""Names of a number a sample: how many of its first tokens count."""

_OF_DECODERS = ("decoder_", "tgt_")


def masks_in(
    inputs: Inputs | None, tokens: int, meanings: Mapping[str, Meaning]
) -> dict[str, Bool[Tensor, "batch tokens"]]:
    """Every mask of so many tokens among the inputs, true where a token counts.

    Args:
        inputs: what the network is given; None where that is not known.
        tokens: how many.
        meanings: of masks that are not :data:`KNOWN`, or mean something else here.
    """
    if inputs is None or isinstance(inputs, Tensor):
        return {}
    found: dict[str, Tensor] = {}
    for name, x in inputs.items():
        meaning = _meaning(name, meanings)
        if meaning in ("kept", "padding") and x.ndim == 2 and x.shape[1] == tokens:
            found[name] = (x != 0) if meaning == "kept" else (x == 0)
        elif name in LENGTHS and x.ndim == 1 and any(tokens in other.shape[1:] for other in tensors_of(inputs)):
            found[name] = torch.arange(tokens, device=x.device) < x.unsqueeze(1)
    return found


def mask_of(
    layer: str, tokens: int, inputs: Inputs | None, meanings: Mapping[str, Meaning]
) -> Bool[Tensor, "batch tokens"] | None:
    """The mask of a layer's tokens; None where all count.

    It is the one of their number. Of an encoder's and a decoder's masks of one length the layer's path decides; the
    logits, and what makes them, are the decoder's.

    Raises:
        ShapeError: several masks are of this number, they differ, and the path does not tell.
    """
    found = masks_in(inputs, tokens, meanings)
    if not found or inputs is None or isinstance(inputs, Tensor):
        return None
    side = _side(layer) if any(_of_decoder(name) for name in inputs) else None
    if side is not None:
        found = {name: mask for name, mask in found.items() if _of_decoder(name) == (side == "decoder")}
    masks = list(found.values())
    if any(not torch.equal(masks[0], mask) for mask in masks[1:]):
        raise ShapeError(
            f"Of the {tokens} tokens of layer {layer} there are {' and '.join(found)}, which differ. Pad both sides to "
            "other lengths, or say of the one that it is not of padding: Objective(masks={NAME: 'other'})."
        )
    return masks[0] if masks else None


def padding_named(inputs: Inputs | None, meanings: Mapping[str, Meaning]) -> dict[str, Tensor]:
    """Masks and lengths that say where padding is, whatever their shape, as they are given."""
    if inputs is None or isinstance(inputs, Tensor):
        return {}
    return {
        name: x
        for name, x in inputs.items()
        if _meaning(name, meanings) in ("kept", "padding") or (name in LENGTHS and x.ndim == 1)
    }


def check_meanings(meanings: Mapping[str, Meaning]) -> None:
    """Refuse a meaning that is none.

    Raises:
        ConfigError: names it.
    """
    for name, meaning in meanings.items():
        if meaning not in get_args(Meaning):
            raise ConfigError(f"masks: {name!r} is {' or '.join(get_args(Meaning))} where it is true, not {meaning!r}.")


def refuse_unknown_masks(inputs: Inputs, meanings: Mapping[str, Meaning]) -> None:
    """Refuse an input that is called a mask, and of which nobody knows what it says.

    Raises:
        ConfigError: names it.
    """
    for name in () if isinstance(inputs, Tensor) else inputs:
        if "mask" in name.lower() and _meaning(name, meanings) is None:
            raise ConfigError(
                f"The inputs hold {name!r}, and it is not known whether it says where padding is. Say what it means "
                f"where it is true: Objective(masks={{{name!r}: 'kept'}}) for tokens that count, 'padding' for those "
                "that do not, 'other' where it says nothing of padding."
            )


def _meaning(name: str, meanings: Mapping[str, Meaning]) -> Meaning | None:
    return meanings.get(name) or KNOWN.get(name)


def _of_decoder(name: str) -> bool:
    return name.startswith(_OF_DECODERS)


def _side(layer: str) -> Literal["encoder", "decoder"] | None:
    """Whose a layer of a network with both is; None where its path does not tell."""
    if layer in (LOGITS, PENULTIMATE) or "decoder" in layer.lower():
        return "decoder"
    return "encoder" if "encoder" in layer.lower() else None
