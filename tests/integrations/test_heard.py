import pytest
import torch

from kantor.integrations.heard import Heard


def test_means_over_steps_and_their_parts():
    heard = Heard()
    heard.add({"a": torch.tensor(1.0), "b": torch.tensor(3.0, requires_grad=True)})
    heard.add({"a": torch.tensor(2.0), "b": torch.tensor(5.0)}, 0.5)
    heard.add({"a": torch.tensor(6.0), "b": torch.tensor(5.0)}, 0.5)
    assert heard.told() == pytest.approx({"a": 2.5, "b": 4.0})
    assert heard.told() == {}
