"""A LightningModule of one's own learns from a teacher: one callback, and the module stays as it is."""

import lightning.pytorch as pl
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from kantor.integrations.lightning import DistillationCallback

digits = load_digits()
data = TensorDataset(torch.tensor(digits.images.reshape(-1, 64) / 16).float(), torch.tensor(digits.target))
train, few = (DataLoader(Subset(data, range(n)), 50, shuffle=True) for n in (1200, 150))
test = DataLoader(Subset(data, range(1200, 1797)), 200)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


class Mine(pl.LightningModule):
    def __init__(self, width):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.model.append(nn.Linear(width, 10))

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def test_step(self, batch, _):
        self.log("right", (self.model(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=3e-3)


teacher, student = Mine(256), Mine(8)
pl.Trainer(max_epochs=15, **quiet).fit(teacher, train)
distils = DistillationCallback("model", teacher.model, "kd+neuron_transport", task=nn.functional.cross_entropy)
trainer = pl.Trainer(max_epochs=60, callbacks=[distils], **quiet)
trainer.fit(student, few)
print("right:", trainer.test(student, test, verbose=False)[0]["right"])
