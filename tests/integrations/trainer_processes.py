"""Trains one student in two processes, and again in one; prints how far their students are apart."""

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

from kantor.integrations.transformers import DistillationTrainer
from tests.integrations.tiny import images, vit

STEPS = 6


def trained(folder: Path, batch: int, resume: str | None = None) -> tuple[nn.Module, Any]:
    from transformers import TrainingArguments

    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=batch, max_steps=STEPS, save_steps=3, logging_steps=1, report_to=[],
        use_cpu=True, disable_tqdm=True, seed=3, learning_rate=1e-2, optim="sgd",  # AdamW makes much of rounding
    )  # fmt: skip
    trainer = DistillationTrainer(
        vit(8, 0), arguments, train_dataset=images(), teachers=vit(16, 1), method="kd+neuron_transport+crd"
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer.objective, trainer.state.log_history


def flat(objective: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in objective.parameters()])


def main(folder: Path) -> None:
    alone = os.environ.pop("ALONE", None)
    printed = io.StringIO()
    with redirect_stdout(printed):
        objective, _ = trained(folder / "two", 4)
        resumed, _ = trained(folder / "two", 4, str(folder / "two" / "checkpoint-3"))
    ours, start = flat(objective), flat(vit(8, 0))
    rows = [torch.empty_like(ours) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, ours)
    said = torch.tensor(float(printed.getvalue().count("Term task")))
    dist.all_reduce(said)
    world, rank = dist.get_world_size(), dist.get_rank()
    found = {
        "world": world,
        "apart": float((rows[0] - rows[1]).abs().max()),
        "resumed_apart": float((flat(resumed) - ours).abs().max()),
        "moved": float((ours[: len(start)] - start).abs().max()),
        "said": int(said),
    }
    del resumed, objective
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()
    if rank == 0 and alone is None:
        import subprocess

        code = (
            "import sys, torch; from pathlib import Path; import tests.integrations.trainer_processes as p; "
            f"torch.save(p.flat(p.trained(Path({str(folder / 'one')!r}), 8)[0]), {str(folder / 'one.pt')!r})"
        )
        environment = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS", "HOME")}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)
        one = torch.load(folder / "one.pt", weights_only=True)
        print(json.dumps({**found, "from_one": float((one - ours).abs().max())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
