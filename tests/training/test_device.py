"""What a device's name stands for on this machine, with a GPU and without."""

import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.training.device import chosen_device, emulates_bfloat16


@pytest.mark.parametrize(
    ("name", "gpu", "found"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_a_gpu_is_taken_where_there_is_one_and_nothing_else_is_said(monkeypatch, name, gpu, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert chosen_device(name) == torch.device(found)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"no GPU\. Use --device auto"):
        chosen_device("cuda")


@pytest.mark.parametrize(
    ("known", "slow"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "amx_bf16": True}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_bfloat16_is_slow_on_x86_without_its_instructions(monkeypatch, known, slow):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert emulates_bfloat16(torch.device("cpu")) is slow
    assert not emulates_bfloat16(torch.device("meta"))
