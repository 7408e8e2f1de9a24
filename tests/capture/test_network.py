from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from kantor.capture import call, read
from kantor.capture.layout import logits_of, picked_of
from kantor.core.errors import ShapeError

Both = namedtuple("Both", ["features", "logits"])


@dataclass
class Output:
    logits: torch.Tensor
    hidden: torch.Tensor


LOGITS, FEATURES = torch.randn(4, 3), torch.randn(4, 8)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (LOGITS, ""),
        ((LOGITS, FEATURES), "the first of 2 in a tuple"),
        ([LOGITS], "the first of 1 in a list"),
        (Both(FEATURES, LOGITS), "'logits' of a Both"),
        ({"features": FEATURES, "logits": LOGITS}, "'logits' of a dict"),
        ({"out": LOGITS, "aux": FEATURES}, "'out' of a dict"),
        ({"prediction": LOGITS}, "'prediction' of a dict"),
        (OrderedDict(loss=None, logits=LOGITS), "'logits' of an OrderedDict"),
        (Output(LOGITS, FEATURES), "'logits' of an Output"),
    ],
)
def test_logits_are_found_in_what_networks_return(output, says):
    assert logits_of(output, "the student", batch=4) is LOGITS
    assert picked_of(output, "the student") == says


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"a": LOGITS, "b": FEATURES}, "The student returns 2 tensors .a, b.*Wrap it"),
        ("text", "The student returns str.*Wrap it"),
        ((torch.tensor(1.0), LOGITS), r"first of 2 in a tuple\) are \[\].*4 samples.*Wrap it"),
        (torch.randn(3, 4), r"logits of the student are \[3, 4\].*4 samples"),
    ],
)
def test_what_cannot_be_read_as_logits_says_what_to_do(output, says):
    with pytest.raises(ShapeError, match=says):
        logits_of(output, "the student", batch=4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_is_given_its_own_dtype(dtype):
    linear = nn.Linear(6, 3).to(dtype)
    assert call(linear, torch.randn(4, 6)).dtype == dtype
    assert call(nn.Embedding(9, 3), torch.tensor([1, 2])).shape == (2, 3)


def test_one_run_gives_logits_and_layers():
    calls = []

    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            calls.append(len(x))
            hidden = self.hidden(x)
            return {"hidden": hidden, "logits": self.head(hidden)}

    network, x = Counted(), torch.randn(4, 6)
    logits, layers = read(network, x, ["hidden", "logits", "penultimate"], name="the student")
    assert calls == [4]
    assert layers["logits"] is logits
    torch.testing.assert_close(layers["hidden"], network.hidden(x))
    torch.testing.assert_close(layers["penultimate"], network.hidden(x))
    assert read(network, x, [], name="the student")[1] == {}


def test_a_batch_norm_that_is_given_one_sample_is_said():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(ShapeError, match=r"batch norm of the student.*\[1, 3\].*two samples or more"):
        read(network, torch.rand(1, 3), ["logits"], name="the student")
    with pytest.raises(ShapeError, match="batch norm"):
        read(network, torch.rand(1, 3), ["0"], name="the student")
    with pytest.raises(ValueError, match="own fault"):
        read(Faulty(), torch.rand(1, 3), ["logits"], name="the student")


class Faulty(nn.Module):
    def forward(self, x):
        raise ValueError("own fault")
