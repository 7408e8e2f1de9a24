"""Trains one student in two processes; prints how far their students are apart, and a resumed one from them."""

import gc
import io
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.torchvision_operators import define

define()
import lightning.pytorch as pl  # noqa: E402
from lightning.pytorch.strategies import DDPStrategy  # noqa: E402

from kantor.integrations.lightning import Distillation, DistillationCallback  # noqa: E402


def net(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    parts = [nn.Linear(6, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)]
    return nn.Sequential(*parts)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


class Mine(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = net(8, 0)

    def training_step(self, *_: Any) -> Any:
        raise AssertionError

    def configure_optimizers(self) -> Any:
        return sgd(self.parameters())


def trained(folder: Path, kind: str, epochs: int, resume: str | None = None) -> tuple[nn.Module, Any]:
    method, callbacks = "kd+neuron_transport+lckt", []
    if kind == "module":
        model: Any = Distillation(net(8, 0), net(16, 1), method, optimizer=sgd)
    else:
        model = Mine()
        callbacks.append(DistillationCallback("model", net(16, 1), method, task="auto"))
    x = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=4, shuffle=True)
    off = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=2, strategy=DDPStrategy(process_group_backend="gloo"),
        callbacks=callbacks, default_root_dir=folder, **dict.fromkeys(off, False),
    )  # fmt: skip
    torch.manual_seed(5 + int(os.environ["RANK"]))  # dropout is of each process its own
    trainer.fit(model, loader, ckpt_path=resume)
    return (model.objective if kind == "module" else callbacks[0].objective), trainer


def flat(objective: nn.Module) -> Tensor:
    return torch.cat([x.detach().double().flatten() for x in objective.state_dict().values()])


def main(folder: Path, kind: str) -> None:
    printed = io.StringIO()
    with redirect_stdout(printed):
        objective, trainer = trained(folder, kind, 2)
        trainer.save_checkpoint(folder / "two.ckpt")
        dist.barrier()
        resumed, _ = trained(folder, kind, 4, str(folder / "two.ckpt"))
        objective, trainer = trained(folder, kind, 4)
    ours, start = flat(objective), flat(net(8, 0))
    rows = [torch.empty_like(ours) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, ours)
    said = torch.tensor(float(printed.getvalue().count("Term task")))
    dist.all_reduce(said)
    found = {
        "world": dist.get_world_size(),
        "apart": float((rows[0] - rows[1]).abs().max()),
        "resumed_apart": float((flat(resumed) - ours).abs().max()),
        "moved": float((ours[: len(start)] - start).abs().max()),
        "said": int(said) / 3,
    }
    if dist.get_rank() == 0:
        print(json.dumps(found), flush=True)
    trainer.strategy.teardown()
    del resumed, objective, trainer
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
