"""Student, losses and optimiser in shards, by FSDP2: torchrun --nproc-per-node 2 fsdp2.py."""

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch.distributed.fsdp import fully_shard

import kantor

dist.init_process_group()
rank, world = dist.get_rank(), dist.get_world_size()
device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
mesh = torch.distributed.device_mesh.init_device_mesh(device.type, (world,))
torch.manual_seed(0)  # the same student in every process
digits = load_digits()
images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32, device=device)
labels = torch.tensor(digits.target, device=device)
teacher = kantor.load("cnn@width=64", classes=10, input_shape=(1, 8, 8)).to(device)  # whole in every process
student = kantor.load("cnn@width=16", classes=10, input_shape=(1, 8, 8)).to(device)
# Weights as numbers: layers in shards of their own hide the gradients by which a default weight is limited.
terms = [kantor.Term(kantor.losses.NeuronTransport(), weight=5.0), kantor.Term(kantor.losses.KD(), weight=0.5)]
objective = kantor.Objective(student, {"big": teacher}, terms)
objective.check(images[:64], labels[:64], quiet=rank > 0)  # before anything is in shards
for layer in student.network.children():
    fully_shard(layer, mesh=mesh)
fully_shard(objective, mesh=mesh)  # the objective is what is called
optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)

for rows in torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:1792].split(128):
    mine = rows.to(device)[rank::world]  # of every batch a share
    result = objective(images[mine], labels[mine])
    result.loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    objective.after_step()
whole = {name: x.full_tensor() if hasattr(x, "full_tensor") else x for name, x in student.state_dict().items()}
if rank == 0:
    torch.save(whole, "student.pt")  # clean, for one process
    print(f"{world} processes, loss {result.loss.item():.3f}")
dist.destroy_process_group()
