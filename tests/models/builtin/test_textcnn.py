"""Networks of texts: what padding holds changes nothing, and their stages are told apart."""

import pytest
import torch

from kantor.capture import capture, stages
from kantor.core.errors import ConfigError
from kantor.losses.features import pool_without_padding
from kantor.models.builtin import BUILTIN, FOR_TEXT


def inputs(padding: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    ids = torch.randint(1, 40, (3, 9))
    mask = (torch.arange(9) < torch.tensor([[9], [2], [5]])).long()
    pad = torch.nn.functional.pad
    return {"input_ids": pad(ids * mask, (0, padding)), "attention_mask": pad(mask, (0, padding))}


@pytest.mark.parametrize("name", FOR_TEXT)
def test_padding_changes_nothing(name):
    torch.manual_seed(0)
    network = BUILTIN[name](2, (16, 40), dim=8).eval()
    given = inputs()
    logits = network(**given)
    torch.testing.assert_close(network(**inputs(padding=4)), logits)
    other = given["input_ids"] + 7 * (1 - given["attention_mask"])
    assert torch.equal(network(other, given["attention_mask"]), logits)
    alone = {key: x[1:2, :2] for key, x in given.items()}
    torch.testing.assert_close(network(**alone), logits[1:2])


@pytest.mark.parametrize("name, last", [("bag", ("layers.0.1", 64)), ("textcnn", ("largest", 12))])
def test_the_last_stage_is_before_the_classifier(name, last):
    options = {"dim": 8, "width": 4} if name == "textcnn" else {"dim": 8}
    network = BUILTIN[name](2, (16, 40), **options)
    found = stages(network, inputs())
    assert (found[-1].path, found[-1].width) == last
    with capture(network.eval(), [stage.path for stage in found]) as taken:
        network(**inputs())
        few = {stage.path: pool_without_padding(taken[stage.path], inputs()) for stage in found}
        network(**inputs(padding=5))
        more = {stage.path: pool_without_padding(taken[stage.path], inputs(padding=5)) for stage in found}
    for path, x in few.items():
        torch.testing.assert_close(more[path], x)


def test_sizes_that_cannot_be():
    for name in FOR_TEXT:
        with pytest.raises(ConfigError, match=f"{name}@dim=0"):
            BUILTIN[name](2, (16, 40), dim=0)
        with pytest.raises(ConfigError, match=f"{name} reads texts; the samples are of shape"):
            BUILTIN[name](2, (3, 8, 8))
