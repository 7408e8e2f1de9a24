"""A small detector learns from a larger one, both of torchvision's kind, on squares that are drawn here."""

import torch
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

import kantor


class Detector(nn.Module):
    def __init__(self, width):
        super().__init__()
        body = nn.Sequential(nn.Conv2d(3, width, 3, 4, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU())
        body.out_channels, anchors = width, AnchorGenerator(((16,),), ((1,),))
        self.net = FCOS(body, num_classes=2, min_size=64, max_size=64, anchor_generator=anchors)

    def forward(self, images, boxes=None, kinds=None):
        if boxes is None:  # of a teacher the features alone are wanted
            return self.net.backbone(self.net.transform([*images])[0].tensors)
        targets = [{"boxes": box[None], "labels": kind[None]} for box, kind in zip(boxes, kinds, strict=True)]
        return sum(self.net([*images], targets).values()).expand(len(images), 1)  # the detector's own losses


def drawn(count):  # images [count, 3, 64, 64] with a dark or a bright square each
    corner, kinds, places = torch.randint(4, 36, (count, 2)), torch.randint(2, (count,)), torch.arange(64)
    x, y = (((places >= at[:, None]) & (places < at[:, None] + 20)).float() for at in corner.T)
    images = 0.1 * torch.randn(count, 3, 64, 64) + (y[:, :, None] * x[:, None] * (kinds - 0.5)[:, None, None])[:, None]
    seen = {"images": images + 0.5, "boxes": torch.cat([corner, corner + 20], 1).float(), "kinds": kinds}
    return {"student": seen, "teacher": images + 0.5, "labels": kinds}


def train(student, teachers, terms, steps):
    objective = kantor.Objective(student, teachers, terms, task=lambda losses, _: losses.mean())
    objective.check(drawn(8))
    optimizer = torch.optim.Adam(objective.parameters(), lr=2e-3)
    for _ in range(steps):
        objective(drawn(8)).loss.backward()
        optimizer.step(), optimizer.zero_grad(), objective.after_step()
    print("loss on new images:", round(student(**drawn(64)["student"]).mean().item(), 3))


torch.manual_seed(0)
teacher, loss = (
    Detector(128),
    kantor.losses.NeuronTransport(spatial="positions"),
)  # 32 channels meet 128, place by place
train(teacher, {}, [], steps=60)
train(Detector(32), {"big": teacher}, [kantor.Term(loss, student="net.backbone", teacher="big:net.backbone")], steps=40)
