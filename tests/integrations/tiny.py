"""Tiny networks of transformers and a few samples, made on the spot."""

from typing import Any

import torch

CLASSES = 3


def vit(width: int, seed: int, dropout: float = 0.0, **settings: Any) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    settings = {"num_labels": CLASSES, "hidden_dropout_prob": dropout, **settings}
    config = ViTConfig(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=2, intermediate_size=2 * width,
        image_size=16, patch_size=8, **settings,
    )  # fmt: skip
    return ViTForImageClassification(config)


def bert(width: int, seed: int, kind: str = "BertForSequenceClassification", **settings: Any) -> Any:
    import transformers

    torch.manual_seed(seed)
    config = transformers.BertConfig(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=2, intermediate_size=2 * width,
        vocab_size=40, max_position_embeddings=12, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        **{"num_labels": CLASSES, **settings},
    )  # fmt: skip
    return getattr(transformers, kind)(config)


def images(samples: int = 24) -> list[dict[str, Any]]:
    random = torch.Generator().manual_seed(0)
    return [
        {"pixel_values": torch.rand(3, 16, 16, generator=random), "labels": i % CLASSES, "ids": i}
        for i in range(samples)
    ]


def texts(samples: int = 24) -> list[dict[str, Any]]:
    """Of twelve tokens, the last of which are padding; the first says the class."""
    random = torch.Generator().manual_seed(0)
    found = []
    for i in range(samples):
        tokens = torch.randint(4, 40, (12,), generator=random)
        tokens[1] = 1 + i % CLASSES
        mask = (torch.arange(12) < 6 + i % 5).long()
        found.append({"input_ids": tokens * mask, "attention_mask": mask, "labels": i % CLASSES})
    return found
