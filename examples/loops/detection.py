"""A small detector learns from a larger one, both of torchvision's kind, on squares that are drawn here."""

import torch
from torch import nn
from torchvision.models.detection import FCOS, anchor_utils

import kantor


class Detector(FCOS):
    def __init__(self, width):
        body = nn.Sequential(nn.Conv2d(3, width, 3, 4, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU())
        body.out_channels = width
        super().__init__(body, 2, 64, 64, [0, 0, 0], [1, 1, 1], anchor_utils.AnchorGenerator(((16,),), ((1,),)))

    def forward(self, images, squares):
        targets = [{"boxes": square[None, :4].float(), "labels": square[4:]} for square in squares]
        return sum(super().forward([*images], targets).values()).expand(len(images), 1)  # the detector's own losses


def drawn(count):  # images [count, 3, 64, 64] with a dark or a bright square each; where it is, and which
    corner, kinds, places = torch.randint(4, 36, (count, 2)), torch.randint(2, (count, 1)), torch.arange(64)
    x, y = (((places >= at[:, None]) & (places < at[:, None] + 20)).float() for at in corner.T)
    images = (
        0.5 + 0.1 * torch.randn(count, 3, 64, 64) + (y[:, :, None] * x[:, None] * (kinds[..., None] - 0.5))[:, None]
    )
    squares = torch.cat([corner, corner + 20, kinds], 1)
    return {"student": {"images": images, "squares": squares}, "teacher": images, "labels": kinds[:, 0]}


teacher, student, loss = Detector(128), Detector(32), kantor.losses.NeuronTransport(spatial="positions")
term = kantor.Term(loss, student="backbone", teacher="big:3")  # 32 channels meet 128, place by place
for net, teachers, terms in ((teacher, {}, []), (student, {"big": teacher.backbone}, [term])):
    objective = kantor.Objective(net, teachers, terms, task=lambda losses, _: losses.mean())
    objective.check(drawn(8))
    optimizer = torch.optim.Adam(objective.parameters(), lr=2e-3)
    for _ in range(60):
        objective(drawn(8)).loss.backward()
        optimizer.step(), optimizer.zero_grad(), objective.after_step()
    print("loss on new images:", round(net(**drawn(64)["student"]).mean().item(), 3))
