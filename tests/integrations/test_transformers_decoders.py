"""Language models and decoders in Hugging Face's Trainer: the real one, on tiny networks."""

import importlib.util
from typing import Any

import pytest
import torch

from tests.integrations.tiny import texts

if importlib.util.find_spec("transformers") is None:
    pytest.skip("needs transformers", allow_module_level=True)
from kantor.integrations.transformers import DistillationMixin  # noqa: I001

import transformers  # after it: beside a torch that torchvision was not built for it is told of none

from tests.integrations.trainers import arguments, trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


def test_language_models_train_as_in_the_trainer_itself(tmp_path):
    """Older ones too, which say nothing of their loss. The first token is nobody's next, but the Trainer counts it."""
    ids = [sample["input_ids"] for sample in texts()]
    data = [{"input_ids": x, "labels": x.where(torch.arange(12) > 0, -100)} for x in ids]

    def gpt2() -> Any:
        torch.manual_seed(0)
        sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 40, "n_positions": 12}
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))

    ours = trainer(tmp_path, gpt2(), train_dataset=data, teachers=None, method="none", optim="sgd")
    ours.train()
    theirs = transformers.Trainer(gpt2(), arguments(tmp_path, optim="sgd"), train_dataset=data)
    theirs.train()
    for one, two in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


def test_a_decoder_sees_what_it_would_make_of_the_labels(tmp_path):
    """In Seq2SeqTrainer, which generates where it evaluates."""

    class Distilled(DistillationMixin, transformers.Seq2SeqTrainer):
        pass

    def t5(width: int) -> Any:
        torch.manual_seed(0)
        sizes = {"d_model": width, "d_ff": 16, "d_kv": 4, "num_layers": 1, "num_heads": 2, "vocab_size": 40}
        config = transformers.T5Config(**sizes)
        config.decoder_start_token_id = 0
        return transformers.T5ForConditionalGeneration(config)

    data = [{**sample, "labels": sample["input_ids"][:6].where(torch.arange(6) < 3 + i % 4, -100)}
            for i, sample in enumerate(texts())]  # fmt: skip
    given = transformers.Seq2SeqTrainingArguments(
        str(tmp_path), max_steps=1, logging_steps=1, report_to=[], use_cpu=True, disable_tqdm=True,
        predict_with_generate=True, generation_max_length=5, save_strategy="no",
    )  # fmt: skip
    said = []
    ours = Distilled(
        t5(8), given, train_dataset=data, eval_dataset=data, teachers=t5(16), method="kd+neuron_transport:1",
        compute_metrics=lambda found: said.append(found.predictions.shape[0]) or {},
    )  # fmt: skip
    own = float(ours.model(**ours._prepare_inputs(next(iter(ours.get_train_dataloader())))).loss.detach())
    ours.train()
    (told,) = (entry for entry in ours.state.log_history if "terms/task" in entry)
    assert told["terms/task"] == pytest.approx(own, rel=0.2) and ours.evaluate()["eval_loss"] > 0
    assert said == [24]
