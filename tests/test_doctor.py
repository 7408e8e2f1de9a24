"""What a report of a fault says of a machine."""

import builtins
import importlib.metadata

import torch

from kantor import doctor
from kantor.cli import main


def test_versions_device_and_threads_are_there(monkeypatch):
    monkeypatch.setattr(doctor, "_importing_torchvision", lambda: "0")
    found = dict(doctor.checked())
    assert found["kantor"] == importlib.metadata.version("kantor")
    assert found["torch"].startswith(torch.__version__) and found["device"]
    assert found["threads"].startswith(f"{torch.get_num_threads()} of ")


def test_of_an_extra_it_is_said_what_is_there_and_how_to_get_what_is_not(monkeypatch):
    needs = [
        'scikit-learn>=1.5; extra == "digits"',
        'nothing-of-this-name>=1 ; extra == "digits"',
        'ruff; extra == "dev"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["torch>=2.6", *needs])
    monkeypatch.setattr(doctor, "_importing_torchvision", lambda: "0")
    found = dict(doctor.checked())
    version = importlib.metadata.version("scikit-learn")
    said = f"scikit-learn {version}; missing nothing-of-this-name: pip install 'kantor[digits]'"
    assert found["[digits]"] == said and "[dev]" not in found


def test_a_torch_that_cannot_be_imported_is_what_it_is_for(monkeypatch, capsys):
    real = builtins.__import__

    def broken(name, *rest):
        if name == "torch":
            raise OSError("libcudart.so: cannot open shared object file")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)
    assert main(["doctor"]) == 0
    assert "cannot be imported: libcudart.so" in capsys.readouterr().out
