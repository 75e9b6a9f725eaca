"""All mutants of a configuration, each once, and a stratified choice among them.

The one idea: what two operators find is one mutant, and what reads the same is none (equivalence 0).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import chaoskit.mutate.operators  # noqa: F401 - fills the registry
from chaoskit.mutate.model import OPERATORS, Edit, Mutant, id_of
from chaoskit.mutate.source import Bundle


def mutants_of(texts: Mapping[str, str], only: Collection[str] = ()) -> list[Mutant]:
    """Every mutant of these texts by `role:FILE`, in the order of the operators; of those in `only` where named."""
    bundle = Bundle(texts)
    found: list[Mutant] = []
    seen: set[tuple[str, tuple[Edit, ...]]] = set()
    again: Counter[str] = Counter()
    for operator in OPERATORS.values():
        for spot in operator.find(bundle) if not only or operator.id in only else ():
            edits = spot.text.edits(spot.changes)
            key = (spot.text.file, edits)
            if not edits or key in seen or all(each.old == each.new for each in edits):
                continue
            seen.add(key)
            first = id_of(operator.role, spot.site, operator.id, edits)
            id_ = id_of(operator.role, spot.site, operator.id, edits, again[first]) if again[first] else first
            again[first] += 1
            found.append(Mutant(id_, operator.id, operator.role, spot.text.file, edits, spot.site, spot.about))
    return found


def sampled(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """So many of the mutants in their order, of each operator in proportion to its own, what is left over by lot.

    The same seed gives the same choice for the same mutants, in any order.
    """
    chance = random.Random(seed)
    by_operator: dict[str, list[Mutant]] = {}
    for each in sorted(mutants, key=lambda each: each.id):
        by_operator.setdefault(each.operator, []).append(each)
    if count >= len(mutants):
        return list(mutants)
    shares = {id_: count * len(some) / len(mutants) for id_, some in sorted(by_operator.items())}
    sizes = {id_: int(share) for id_, share in shares.items()}
    left = list(shares)
    while sum(sizes.values()) < count:
        weights = [shares[id_] - int(shares[id_]) + 1e-9 for id_ in left]
        chosen = chance.choices(left, weights)[0]
        left.remove(chosen)
        sizes[chosen] += 1
    ids = {each.id for id_, size in sizes.items() for each in chance.sample(by_operator[id_], size)}
    return [each for each in mutants if each.id in ids]
