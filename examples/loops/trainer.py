"""A small vision transformer learns from a larger one, in Hugging Face's Trainer."""

import torch
from sklearn.datasets import load_digits
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification, set_seed

from kantor.integrations.transformers import DistillationTrainer

digits = load_digits()
images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32)
data = [{"pixel_values": x, "labels": int(y)} for x, y in zip(images, digits.target, strict=True)]
train, few, test = data[:1200], data[:300], data[1200:]


def vit(width):
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 3, "num_attention_heads": 2}
    return ViTForImageClassification(ViTConfig(image_size=8, patch_size=2, num_channels=1, num_labels=10, **sizes))


def arguments(epochs):
    quiet = {"save_strategy": "no", "report_to": [], "logging_steps": 20, "disable_tqdm": True}
    return TrainingArguments(
        "runs", num_train_epochs=epochs, per_device_train_batch_size=50, learning_rate=2e-3, **quiet
    )


def accuracy(found):
    return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}


set_seed(0)
teacher = vit(64)
Trainer(teacher, arguments(epochs=15), train_dataset=train).train()
settings = {"train_dataset": few, "eval_dataset": test, "compute_metrics": accuracy, "teachers": teacher}
for method in ("none", "kd+neuron_transport"):
    set_seed(0)
    trainer = DistillationTrainer(vit(24), arguments(epochs=40), method=method, **settings)
    trainer.train()
    print(method, round(trainer.evaluate()["eval_accuracy"], 3))
trainer.save_model("student")  # ViTForImageClassification.from_pretrained("student") loads it
