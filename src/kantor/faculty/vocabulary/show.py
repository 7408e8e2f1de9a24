"""A plan between vocabularies in words: what was found, and which tokens go where."""

from collections.abc import Sequence

import numpy as np

from kantor.data.spelling import Spelling
from kantor.faculty.vocabulary.plan import VocabularyPlan


def summary(plan: VocabularyPlan, names: tuple[str, str]) -> str:
    """One sentence on what solving took and found.

    Args:
        plan: the plan.
        names: of the teacher and of the student.
    """
    facts, tokens, shares = plan.facts, plan.facts["tokens"], plan.facts["matched"]
    learned = "" if facts["spans"] is None else f" and {facts['spans']:,} spans of text"
    return (
        f"Plan between the {tokens[0]:,} tokens of {names[0]} and the {tokens[1]:,} of {names[1]}, from "
        f"{facts['pairs']:,} pairs{learned}: {shares[0]:.1%} of the mass of the first and {shares[1]:.1%} of the "
        f"second found a partner ({facts['without_partner']:,} tokens of the first have none), in "
        f"{facts['seconds']:.1f} s{'' if facts['converged'] else '; it did not converge'}."
    )


def examples(
    plan: VocabularyPlan, teacher: Spelling, student: Spelling, *, most: int = 8, partners: int = 3
) -> list[tuple[str, list[tuple[str, float]]]]:
    """The teacher's heaviest tokens that do not simply go to the same token, and where they go.

    Returns:
        Token, and its partners with their shares, the largest first.
    """
    shares = plan.map()
    rows, columns, given = (x.numpy() for x in (shares.rows, shares.columns, shares.shares))
    starts = np.searchsorted(rows, np.arange(len(plan.a) + 1))
    found = []
    for i in np.argsort(-plan.a, kind="stable"):
        entries = range(starts[i], starts[i + 1])
        largest = sorted(entries, key=lambda k: -given[k])[:partners]
        if len(found) == most or not plan.a[i]:
            break
        if largest and not (student[columns[largest[0]]] == teacher[i] and given[largest[0]] > 0.99):
            found.append((shown(teacher[i]), [(shown(student[columns[k]]), float(given[k])) for k in largest]))
    return found


def lines(found: Sequence[tuple[str, list[tuple[str, float]]]]) -> list[str]:
    """Examples, one a line."""
    return [f"{token} -> {', '.join(f'{name} {share:.0%}' for name, share in goes)}" for token, goes in found]


def shown(token: bytes | None) -> str:
    """A token as people read it, in quotes."""
    return "(none)" if token is None else repr(token.decode(errors="backslashreplace"))
