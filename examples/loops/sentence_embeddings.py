"""An embedding student of half the width, in sentence-transformers: no projector is between the two."""

import pathlib

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

import kantor

torch.manual_seed(0)
words = ["the", "cat", "dog", "bird", "sees", "hears", "likes", "old", "young", "tree", "house", "river", "in", "near"]
pathlib.Path("vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))


class Embeds(torch.nn.Module):
    def __init__(self, folder, width):  # yours come from the Hub: SentenceTransformer("all-mpnet-base-v2")
        super().__init__()
        sizes = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 32}
        BertModel(BertConfig(**sizes)).save_pretrained(folder)
        BertTokenizerFast("vocab.txt").save_pretrained(folder)
        self.model = SentenceTransformer(modules=[Transformer(folder), Pooling(width)], device="cpu")

    def forward(self, **tokens):
        return self.model(tokens)["sentence_embedding"]


teacher, student = Embeds("teacher", 64), Embeds("student", 32).train()
sentences = [" ".join(words[i] for i in torch.randint(len(words), (6,))) for _ in range(640)]
term = kantor.Term(kantor.losses.NeuronTransport(), student="logits", teacher="big:logits", weight=1.0)
objective = kantor.Objective(student, {"big": teacher}, [term], task=None)
tokenizer = student.model.tokenizer
objective.check(tokenizer(sentences[:64], padding=True, return_tensors="pt"))
optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
for step in range(80):
    objective(tokenizer(sentences[step % 8 : 512 : 8], padding=True, return_tensors="pt")).loss.backward()
    optimizer.step(), optimizer.zero_grad(), objective.after_step()
x, y = (torch.corrcoef(net.model.encode(sentences[512:], convert_to_tensor=True)) for net in (student, teacher))
print("similarities agree:", round(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1].item(), 3))
