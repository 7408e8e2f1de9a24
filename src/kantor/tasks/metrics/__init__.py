"""Numbers by which models are judged, each with its name, unit and direction. One concept, one file."""

from kantor.tasks.metrics.accuracy import Accuracy
from kantor.tasks.metrics.errors import R2, RMSE
from kantor.tasks.metrics.f1 import F1
from kantor.tasks.metrics.iou import MeanIoU
from kantor.tasks.metrics.metric import Metric
from kantor.tasks.metrics.of_loss import BitsPerByte, MeanLoss, Perplexity

__all__ = ["F1", "R2", "RMSE", "Accuracy", "BitsPerByte", "MeanIoU", "MeanLoss", "Metric", "Perplexity"]
