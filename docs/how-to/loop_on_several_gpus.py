"""One's own loop on several processes: torchrun --nproc-per-node 4 loop_on_several_gpus.py."""

import gc
import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import kantor
from kantor.data import Augment, Loader


def main() -> None:
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else torch.device("cpu")
    dist.init_process_group()
    torch.manual_seed(0)  # the same student on every process

    data = kantor.open_data("digits", train_limit=200)
    # The batch size is the global one; each process takes its share of every batch.
    loader = Loader(data.train, 60, seed=0, augment=Augment.named("none"), rank=rank, world=world)
    teacher = kantor.load("cnn@width=64", classes=data.classes, input_shape=(1, 8, 8)).to(device)
    student = kantor.load("cnn@width=16", classes=data.classes, input_shape=(1, 8, 8)).to(device)
    objective = kantor.Objective(student, {"big": teacher}, [kantor.Term(kantor.losses.NeuronTransport())])
    objective.check(next(loader.epoch(0)).to(device), quiet=rank > 0)

    # Statistics and plans are the same on every process by construction: there is nothing to broadcast.
    wrapped = DistributedDataParallel(objective, broadcast_buffers=False)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.05)
    for batch in loader.epoch(0):
        result = wrapped(batch.to(device))
        result.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step()
    if rank == 0:
        print(f"{world} processes, loss {result.loss.item():.4f}")

    del wrapped  # torch can abort at exit if a wrapper outlives its process group
    gc.collect()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
