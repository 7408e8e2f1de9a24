"""What is learned and how it is judged: a loss, metrics with their direction and unit, the shape of labels."""

from kantor.tasks.classification import Classification
from kantor.tasks.dense_labels import DenseLabels
from kantor.tasks.given import BUILT_IN, as_task, made, named
from kantor.tasks.metrics import Metric
from kantor.tasks.next_token import NextToken
from kantor.tasks.regression import Regression
from kantor.tasks.scale import Scale
from kantor.tasks.several_labels import SeveralLabels
from kantor.tasks.task import Task, check_task
from kantor.tasks.token_classification import TokenClassification

__all__ = [
    "BUILT_IN",
    "Classification",
    "DenseLabels",
    "Metric",
    "NextToken",
    "Regression",
    "Scale",
    "SeveralLabels",
    "Task",
    "TokenClassification",
    "as_task",
    "check_task",
    "made",
    "named",
]
