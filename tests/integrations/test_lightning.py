"""Distillation in Lightning: the real one, on tiny networks."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kantor
from kantor import losses
from kantor.objective import Objective
from tests.torchvision_operators import define

if importlib.util.find_spec("lightning") is None:
    pytest.skip("needs lightning", allow_module_level=True)
if importlib.util.find_spec("torchvision") is not None:
    define()  # Lightning's metrics import it where it is installed

import lightning.pytorch as pl

from kantor.integrations.lightning import Distillation, DistillationCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
CLASSES = 3


def net(width: int, seed: int, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU(),
                         nn.Linear(width, CLASSES))  # fmt: skip


def data(samples: int = 32, batch: int = 8) -> DataLoader:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 6, generator=random)
    return DataLoader(TensorDataset(x, x[:, :CLASSES].argmax(1)), batch_size=batch, shuffle=True)


def trainer(folder: Path, **settings: Any) -> Any:
    given = {"max_epochs": 2, "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
             "enable_checkpointing": False, "accelerator": "cpu", "devices": 1, **settings}  # fmt: skip
    return pl.Trainer(default_root_dir=folder, **given)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def distillation(method: Any = "kd+neuron_transport", dropout: float = 0.0, **settings: Any) -> Distillation:
    student = settings.pop("student", None) or net(8, 0, dropout)
    return Distillation(student, net(16, 1), method, optimizer=sgd, **settings)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert list(one) == list(other)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


class Mine(pl.LightningModule):
    """A module as people have them."""

    def __init__(self, dropout: float = 0.0, optimised: str = "all") -> None:
        super().__init__()
        self.model, self.optimised = net(8, 0, dropout), optimised

    def training_step(self, batch: Any, _: int) -> Any:
        raise AssertionError("the callback takes its place")

    def validation_step(self, batch: Any, _: int) -> None:
        x, y = batch
        self.log("right", (self.model(x).argmax(1) == y).float().mean())

    def configure_optimizers(self) -> Any:
        return sgd(self.parameters() if self.optimised == "all" else self.model.parameters())


def by_hand(epochs: int) -> nn.Module:
    """The same training in a loop of one's own."""
    loader, student = data(), net(8, 0)
    objective = Objective(student, {"teacher": net(16, 1)}, [kantor.Term(losses.KD()), kantor.Term(losses.RKD())])
    torch.manual_seed(5)
    objective.check(*next(iter(loader)), quiet=True)
    optimizer = sgd(objective.parameters())
    torch.manual_seed(5)
    for _ in range(epochs):
        for batch in loader:
            result = objective(batch)
            optimizer.zero_grad()
            result.loss.backward()
            optimizer.step()
            objective.after_step()
    return student


def test_it_trains_the_student_that_a_loop_of_ones_own_does(tmp_path):
    method = [kantor.Term(losses.KD()), kantor.Term(losses.RKD())]
    module, mine = distillation(method), Mine()
    callback = DistillationCallback(
        "model", net(16, 1), [kantor.Term(losses.KD()), kantor.Term(losses.RKD())], task="auto"
    )
    for model, callbacks in ((module, []), (mine, [callback])):
        torch.manual_seed(5)
        trainer(tmp_path, callbacks=callbacks).fit(model, data())
    expected = by_hand(2)
    same(expected.state_dict(), module.student.state_dict())
    same(expected.state_dict(), mine.model.state_dict())


def test_terms_are_logged_and_the_student_is_judged_by_its_tasks_metrics(tmp_path, capsys):
    from lightning.pytorch.loggers import CSVLogger

    module, logger = distillation(), CSVLogger(tmp_path)
    fitted = trainer(tmp_path, logger=logger, log_every_n_steps=1)
    fitted.fit(module, data(), data())
    assert capsys.readouterr().out.count("Term task") == 1
    lines = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    assert {"train_loss", "terms/task", "terms/kd", "val_accuracy"} <= set(lines[0].split(","))
    x, y = data().dataset.tensors
    logits = module.student.eval()(x)
    (told,) = fitted.test(module, data(batch=5), verbose=False)
    assert told["test_accuracy"] == pytest.approx(float((logits.argmax(1) == y).float().mean()), rel=1e-5)
    assert told["test_loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, y)), rel=1e-5)
    (predicted, *_) = fitted.predict(module, data(batch=32))
    assert predicted.shape == (32, CLASSES)


@pytest.mark.parametrize("kind", ["module", "callback"])
def test_resumed_ends_bitwise_where_it_would_have_ended(tmp_path, kind):
    """With dropout and an order that are drawn, a weight that step 0 finds, a slow plan, and learned parameters."""

    def fitted(epochs: int, seed: int, resume: Path | None = None) -> tuple[dict, dict, Any]:
        method, callbacks = "kd:auto+neuron_transport+lckt:1", []
        if kind == "module":
            model: Any = distillation(method, 0.3)
        else:
            model = Mine(0.3)
            callbacks.append(DistillationCallback("model", net(16, 1), method, task="auto"))
        run = trainer(tmp_path, max_epochs=epochs, callbacks=callbacks)
        torch.manual_seed(seed)
        run.fit(model, data(), data(), ckpt_path=None if resume is None else str(resume))
        objective = model.objective if kind == "module" else callbacks[0].objective
        return objective.state_dict(), objective.weights(), run

    whole, weights, _ = fitted(4, 5)
    _, _, stopped = fitted(2, 5)
    stopped.save_checkpoint(tmp_path / "two.ckpt")
    resumed, again, _ = fitted(4, 99, tmp_path / "two.ckpt")
    same(whole, resumed)
    assert weights == again


def test_a_checkpoint_gives_the_student_without_training(tmp_path):
    module = distillation()
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module, data())
    run.save_checkpoint(tmp_path / "one.ckpt")
    kept = torch.load(tmp_path / "one.ckpt", weights_only=False)["state_dict"]
    assert not any("teacher" in name for name in kept)
    other = distillation(student=net(8, 9))
    other.load_state_dict(kept)
    same(module.student.state_dict(), other.student.state_dict())


def test_the_modules_own_state_and_step_are_its_own_again(tmp_path):
    mine = Mine()
    names = list(mine.state_dict())
    callback = DistillationCallback("model", net(16, 1), "kd+lckt:1", task="auto")
    run = trainer(tmp_path, callbacks=[callback])
    run.fit(mine, data(), data())
    assert list(mine.state_dict()) == names and 0 <= run.callback_metrics["right"] <= 1
    run.save_checkpoint(tmp_path / "one.ckpt")
    fresh = Mine()
    fresh.load_state_dict(torch.load(tmp_path / "one.ckpt", weights_only=False)["state_dict"])
    same(mine.state_dict(), fresh.state_dict())
    mine.load_state_dict(fresh.state_dict())
    with pytest.raises(AssertionError, match="takes its place"):
        mine.training_step(None, 0)


def test_accumulated_parts_are_one_step(tmp_path):
    module = distillation("kd+neuron_transport+lckt:1")
    trainer(tmp_path, accumulate_grad_batches=2, max_epochs=1).fit(module, data())
    assert int(module.objective.limits.steps) == 2


def test_half_precision(tmp_path):
    module = distillation()
    trainer(tmp_path, precision="bf16-mixed", max_epochs=1).fit(module, data(), data())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in module.parameters())


def test_what_is_not_there_or_left_out_is_said(tmp_path):
    callback = DistillationCallback("net", net(16, 1), "kd", task="auto")
    with pytest.raises(kantor.ConfigError, match="Mine has no module 'net'"):
        trainer(tmp_path, callbacks=[callback]).fit(Mine(), data())
    with pytest.raises(kantor.ConfigError, match="Mine has no module ''"):
        trainer(tmp_path, callbacks=[DistillationCallback("", net(16, 1), "kd", task="auto")]).fit(Mine(), data())
    learns = DistillationCallback("model", net(16, 1), "lckt:1", task="auto")
    with pytest.raises(kantor.ConfigError, match="not what lckt learns"):
        trainer(tmp_path, callbacks=[learns]).fit(Mine(optimised="model"), data())


def test_steps_that_a_module_takes_itself_are_refused(tmp_path):
    """Its own training step is not called, and so nothing would learn."""
    for module, callbacks in (
        (distillation(), []),
        (Mine(), [DistillationCallback("model", net(16, 1), "kd", task="auto")]),
    ):
        module.automatic_optimization = False
        with pytest.raises(kantor.ConfigError, match="takes its steps in its training_step"):
            trainer(tmp_path, callbacks=callbacks).fit(module, data())


def test_a_callback_trains_the_module_that_it_is_fitted_with(tmp_path):
    callback = DistillationCallback("model", net(16, 1), "kd+neuron_transport", task="auto")
    first, second = Mine(), Mine()
    for module in (first, second):
        torch.manual_seed(5)
        trainer(tmp_path, callbacks=[callback]).fit(module, data())
    same(first.state_dict(), second.state_dict())
    assert not torch.equal(second.model[0].weight, Mine().model[0].weight)


def test_a_module_whose_training_broke_off_is_fitted_again(tmp_path):
    class Breaks(pl.Callback):
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("broken off")

    callback, module = DistillationCallback("model", net(16, 1), "kd+neuron_transport", task="auto"), Mine()
    with pytest.raises(RuntimeError, match="broken off"):
        trainer(tmp_path, callbacks=[callback, Breaks()], max_epochs=1).fit(module, data())
    before = int(callback.objective.limits.steps)
    trainer(tmp_path, callbacks=[callback], max_epochs=1).fit(module, data())
    assert int(callback.objective.limits.steps) == before + 4


def test_steps_that_are_taken_without_callbacks_are_told_of(tmp_path):
    """As Lightning's search for a learning rate takes them."""
    from lightning.pytorch.tuner.tuning import Tuner

    class Searched(Mine):
        lr = 1e-3

    callback = DistillationCallback("model", net(16, 1), "kd+neuron_transport", task="auto")
    run = trainer(tmp_path, callbacks=[callback], max_epochs=1)
    module = Searched()
    Tuner(run).lr_find(module, data(), num_training=4)
    assert int(callback.objective.limits.steps) == 0  # the search is undone
    run.fit(module, data())
    assert int(callback.objective.limits.steps) == 4


def test_pretraining_comes_first_and_transfer_needs_no_labels(tmp_path):
    def convolutions(width: int) -> nn.Module:
        return kantor.load(f"cnn@width={width}", classes=CLASSES, input_shape=(1, 8, 8))

    module = Distillation(convolutions(8), convolutions(16), "ab@epochs=1", optimizer=sgd, task=None)
    loader = DataLoader(TensorDataset(torch.rand(16, 1, 8, 8)), batch_size=8)
    trainer(tmp_path, max_epochs=1).fit(module, loader)
    (loss,) = (bound.loss for bound in module.objective.bound)
    assert loss.prepared


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["module", "callback"])
def test_two_processes_train_the_student_of_one(tmp_path, kind):
    script = Path(__file__).with_name("lightning_processes.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(
        [*launch, str(tmp_path), kind], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"world')))
    assert found["world"] == 2 and found["said"] == 1
    assert found["apart"] == 0 and found["resumed_apart"] == 0 and found["moved"] > 1e-3
