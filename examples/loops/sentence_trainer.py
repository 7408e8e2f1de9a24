"""An embedding student of half the width in sentence-transformers' own Trainer, whose loss is neuron transport."""

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from transformers import BertConfig, BertModel, BertTokenizerFast, TrainerCallback

from kantor.losses import NeuronTransport

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "sees", "hears", "old", "young", "tree", "river"]
torch.manual_seed(0)


def embeds(folder, width):  # yours come from the Hub: SentenceTransformer("all-mpnet-base-v2")
    sizes = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 32}
    BertModel(BertConfig(**sizes)).save_pretrained(folder)
    BertTokenizerFast({word: i for i, word in enumerate(words)}).save_pretrained(folder)
    return SentenceTransformer(folder, device="cpu")


class Transfer(torch.nn.Module):  # as their losses are: the labels are the teacher's embeddings
    def __init__(self, student):
        super().__init__()
        self.model, self.transport = student, NeuronTransport()
        self.transport.build(((2, 32),), ((2, 64),), samples=0)  # no projector is between the widths

    def forward(self, features, labels):
        return self.transport(self.model(features[0])["sentence_embedding"], labels)


teacher, student = embeds("teacher", 64), embeds("student", 32)
texts = [" ".join(words[i] for i in torch.randint(5, len(words), (6,))) for _ in range(640)]
data = Dataset.from_dict({"sentence": texts[:512], "label": teacher.encode(texts[:512]).tolist()})
quiet = {"save_strategy": "no", "report_to": [], "disable_tqdm": True, "per_device_train_batch_size": 64}
settings = SentenceTransformerTrainingArguments("runs", num_train_epochs=10, learning_rate=1e-3, **quiet)
loss, told = Transfer(student), TrainerCallback()
told.on_optimizer_step = lambda *_, **__: loss.transport.after_step()  # the plan is of many batches
SentenceTransformerTrainer(student, settings, train_dataset=data, loss=loss, callbacks=[told]).train()
x, y = (torch.corrcoef(net.encode(texts[512:], convert_to_tensor=True)) for net in (student, teacher))
print("similarities agree:", round(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1].item(), 3))
