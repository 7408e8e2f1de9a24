"""Checkpoints come back as they were; those that cannot be used say what to do."""

import hashlib
import io
from pathlib import Path

import pytest
import torch

from kantor.core.errors import ConfigError
from kantor.training import checkpoint


def test_a_checkpoint_of_another_run_or_a_damaged_one_names_a_remedy_that_exists(tmp_path):
    path = tmp_path / "seed-0" / "checkpoints" / "last.pt"
    checkpoint.save(path, checkpoint.Position(step=3), {"objective": {}}, "one")
    found = checkpoint.load(path, "one")
    assert found is not None and found[0].step == 3
    with pytest.raises(ConfigError, match=rf"other settings\. Delete {path.parent.parent} to train this seed"):
        checkpoint.load(path, "other")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=rf"damaged or cut short.*Delete {path.parent.parent}"):
        checkpoint.load(path, "one")
    with pytest.raises(ConfigError, match=r"best\.pt is missing"):
        checkpoint.required(path.with_name("best.pt"), "one")


def test_a_checkpoint_from_when_accuracy_was_the_only_metric_goes_on(tmp_path):
    path = tmp_path / "seed-0" / "checkpoints" / "last.pt"
    old = {"step": 3, "sums": {"loss": 90.0, "accuracy": 15.0, "samples": 30.0}, "accuracy": 0.4, "best_accuracy": 0.5}
    buffer = io.BytesIO()
    torch.save({"run": "one", "position": old, "objective": {}}, buffer)
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue() + b"\nkantor-sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest().encode())
    found = checkpoint.load(path, "one")
    assert found is not None
    position = found[0]
    assert (position.step, position.reached, position.best, position.sums) == (
        3,
        0.4,
        0.5,
        {"loss": 90.0, "samples": 30.0},
    )
    assert position.counts["accuracy"].tolist() == [15.0, 30.0]


def test_what_is_saved_comes_back_and_the_same_state_is_the_same_file(tmp_path):
    position = checkpoint.Position(
        step=7, epoch=2, step_in_epoch=1, sums={"loss": 3.5}, counts={"accuracy": torch.tensor([3.0, 4.0])},
        reached=0.25, best=0.5, best_epoch=1, since=2, first_loss=2.5, last_loss=1.5,
        metrics_bytes=99, metrics_digest="d",
    )  # fmt: skip
    state = {"objective": {"weight": torch.arange(6.0).view(2, 3)}, "optimizer": {"lr": 0.1}}
    for name in ("one.pt", "other.pt"):
        checkpoint.save(tmp_path / name, position, state, "run")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()
    loaded = checkpoint.load(tmp_path / "one.pt", "run")
    assert loaded is not None
    found, content = loaded
    assert torch.equal(found.counts.pop("accuracy"), position.counts.pop("accuracy")) and found == position
    assert content.keys() == state.keys() and content["optimizer"] == {"lr": 0.1}
    assert torch.equal(content["objective"]["weight"], state["objective"]["weight"])


def test_there_may_be_none_but_where_another_says_that_it_is_there(tmp_path):
    assert checkpoint.load(tmp_path / "best.pt", "run") is None
    checkpoint.save(tmp_path / "best.pt", checkpoint.Position(), {"objective": {"weight": torch.ones(2)}}, "run")
    assert checkpoint.required(tmp_path / "best.pt", "run")["objective"]["weight"].tolist() == [1, 1]


def sealed(path: Path, content: object) -> None:
    """As a checkpoint is written, whatever it holds."""
    body = io.BytesIO()
    torch.save(content, body)
    seal = hashlib.sha256(body.getvalue()).hexdigest().encode()
    path.write_bytes(body.getvalue() + b"\nkantor-sha256:" + seal)


class Code:
    """Does something when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("touched"),)  # type: ignore[return-value]


def test_one_that_would_run_code_is_refused_though_its_seal_fits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sealed(tmp_path / "last.pt", {"run": "run", "position": {}, "objective": Code()})
    with pytest.raises(ConfigError, match="cannot be read"):
        checkpoint.load(tmp_path / "last.pt", "run")
    assert not Path("touched").exists()


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9, -1])
def test_a_single_changed_bit_is_noticed(tmp_path, where):
    path = tmp_path / "last.pt"
    checkpoint.save(path, checkpoint.Position(), {"objective": {"weight": torch.randn(100)}}, "run")
    content = bytearray(path.read_bytes())
    content[int(where * len(content)) if where > 0 else -1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        checkpoint.load(path, "run")


def test_a_failed_write_leaves_the_checkpoint_before(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, checkpoint.Position(step=1), {}, "run")
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(path, checkpoint.Position(step=2), {"objective": lambda: None}, "run")
    found = checkpoint.load(path, "run")
    assert found is not None and found[0].step == 1 and [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_one_from_the_middle_of_an_epoch_of_before_there_were_tasks_goes_on(tmp_path):
    """Then a mean a batch was summed, weighted by samples, and accuracy was the only metric."""
    path = tmp_path / "last.pt"
    old = {"step": 3, "sums": {"accuracy": 30.0, "samples": 40.0, "loss": 2.0}, "accuracy": 0.5, "best_accuracy": 0.75}
    sealed(path, {"run": "run", "position": old | {"forgotten": 1}})
    loaded = checkpoint.load(path, "run")
    assert loaded is not None
    found = loaded[0]
    assert (found.step, found.reached, found.best) == (3, 0.5, 0.75)
    assert found.counts["accuracy"].tolist() == [30.0, 40.0] and found.sums == {"samples": 40.0, "loss": 2.0}


def test_a_clone_of_a_state_shares_nothing_with_it():
    network = torch.nn.Linear(2, 2)
    copied = checkpoint.clone_state(network.state_dict())
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.add_(1)
    assert torch.equal(copied["weight"], before) and not copied["weight"].requires_grad
