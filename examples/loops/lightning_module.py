"""A small network learns from a larger one, in a LightningModule of kantor's."""

import lightning.pytorch as pl
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from kantor.integrations.lightning import Distillation

digits = load_digits()
data = TensorDataset(torch.tensor(digits.images[:, None] / 16, dtype=torch.float32), torch.tensor(digits.target))
train, few = (DataLoader(Subset(data, range(n)), 50, shuffle=True) for n in (1200, 150))
test = DataLoader(Subset(data, range(1200, 1797)), 200)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def net(width):
    first = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, stride=2), nn.ReLU()]
    return nn.Sequential(*first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2)


teacher = Distillation(net(64), {}, "none", optimizer=adam)
pl.Trainer(max_epochs=15, **quiet).fit(teacher, train)
for method in ("none", "kd+neuron_transport"):
    pl.seed_everything(0)
    student = Distillation(net(16), teacher.student, method, optimizer=adam)
    trainer = pl.Trainer(max_epochs=60, **quiet)
    trainer.fit(student, few)
    print(method, round(trainer.test(student, test, verbose=False)[0]["test_accuracy"], 3))
torch.save(student.student.state_dict(), "student.pt")  # the student alone: net(16).load_state_dict takes it
