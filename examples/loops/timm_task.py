"""timm's training task: its train script calls task(input, target), and this task learns from a teacher."""

import timm
import timm.optim
import torch
from timm.task import TrainingTask

from kantor.integrations.recipe import objective_of


class Distilled(TrainingTask):
    def __init__(self, student, teacher, method, first_batch):
        super().__init__()
        self.trainable_module = self.objective = objective_of(student, teacher, method)
        self.objective.check(*first_batch)

    def prepare_distributed(self, device_ids=None, **ddp):
        wrapper = torch.nn.parallel.DistributedDataParallel
        self.trainable_module = wrapper(self.objective, device_ids, broadcast_buffers=False, **ddp)

    def get_eval_model(self, module=None, ema=False):  # noqa: ARG002
        return None if ema else self.objective.student

    def forward(self, images, labels):
        result = self.trainable_module(images, labels)
        return {"loss": result.loss, "output": result.logits, **result.terms}


torch.manual_seed(0)
images, labels = torch.rand(256, 3, 32, 32), torch.arange(256) % 4
student, teacher = (timm.create_model(name, num_classes=4) for name in ("test_resnet", "resnet10t"))
task = Distilled(student, teacher, "kd+neuron_transport", (images[:32], labels[:32]))
optimizer = timm.optim.create_optimizer_v2(task.objective, opt="adamw", lr=1e-3)
for step in range(16):  # as in timm's train.py
    result = task(images[step % 8 :: 8], labels[step % 8 :: 8])
    result["loss"].backward()
    optimizer.step()
    optimizer.zero_grad()
    task.objective.after_step()  # the one line that train.py lacks
    print(step, {name: round(result[name].item(), 3) for name in result if name != "output"})
