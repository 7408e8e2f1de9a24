"""A loop of one's own with Accelerate: python accelerate_loop.py, or torchrun --nproc-per-node 2 accelerate_loop.py."""

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import kantor

set_seed(0)  # the same student in every process
# What losses keep is the same in every process by construction: there is nothing to broadcast.
alike = DistributedDataParallelKwargs(broadcast_buffers=False)
accelerator = Accelerator(cpu=not torch.cuda.is_available(), kwargs_handlers=[alike])
digits = load_digits()
data = TensorDataset(torch.tensor(digits.images[:, None] / 16, dtype=torch.float32), torch.tensor(digits.target))
loader = accelerator.prepare(DataLoader(data, batch_size=64, shuffle=True, drop_last=True))

teacher = kantor.load("cnn@width=64", classes=10, input_shape=(1, 8, 8)).to(accelerator.device)  # yours is trained
student = kantor.load("cnn@width=16", classes=10, input_shape=(1, 8, 8)).to(accelerator.device)
terms = [kantor.Term(kantor.losses.NeuronTransport()), kantor.Term(kantor.losses.KD(), weight=0.5)]
objective = kantor.Objective(student, {"big": teacher}, terms)
objective.check(*next(iter(loader)), quiet=not accelerator.is_main_process)  # before the optimiser is made
optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
model, optimizer = accelerator.prepare(objective, optimizer)  # the objective is what is wrapped, not the student

for epoch in range(3):
    for batch in loader:
        result = model(*batch)
        accelerator.backward(result.loss)
        accelerator.clip_grad_norm_(objective.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step()  # after every step, never before it
    accelerator.print(epoch, {name: round(value.item(), 3) for name, value in result.terms.items()})
accelerator.print(f"{accelerator.num_processes} processes, {sum(p.sum() for p in student.parameters()).item():.4f}")
if accelerator.is_main_process:
    torch.save(student.state_dict(), "student.pt")
del model, result  # torch can abort at exit if a wrapper outlives its process group
accelerator.end_training()
