"""Two models of text, token by token: which of the one's tokens stand for which of the other's."""

from pathlib import Path

from kantor.analysis.file_types import KeptVocabulary
from kantor.data import Part
from kantor.data.spelling import spelling
from kantor.data.tokenised import Tokenised
from kantor.data.tokenizer import same_tokens
from kantor.faculty.vocabulary import of_stores, solve_vocabulary
from kantor.faculty.vocabulary.show import examples, summary

_FILE = "vocabulary.npz"


def compared_vocabularies(
    part: Part, roles: tuple[str, str], names: tuple[str, str], folder: Path
) -> KeptVocabulary | None:
    """The transport plan from the first model's tokens to the second's, solved on the part's texts and kept.

    Args:
        part: the samples.
        roles: who sees them, the first model and the second.
        names: what the models are called.
        folder: where the plan is written, as ``vocabulary.npz``.

    Returns:
        What there is to say of it; None where they see no text, or by the same tokens.
    """
    a, b = (part.stores[role] for role in roles)
    if not (isinstance(a, Tokenised) and isinstance(b, Tokenised)) or same_tokens(a.tokenizer, b.tokenizer):
        return None
    ours, theirs = spelling(a.tokenizer), spelling(b.tokenizer)
    plan = solve_vocabulary(ours, theirs, of_stores(a, b, part.rows), digests=(a.tokenizer.digest, b.tokenizer.digest))
    folder.mkdir(parents=True, exist_ok=True)
    plan.save(folder / _FILE)
    found = [[token, [[name, share] for name, share in goes]] for token, goes in examples(plan, ours, theirs)]
    return {"file": _FILE, "summary": summary(plan, names), "matched": plan.facts["matched"], "examples": found}
