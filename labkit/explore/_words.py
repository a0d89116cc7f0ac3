"""Sentences under the map. None of them claims more than was measured."""

from dataclasses import dataclass

from labkit.explore._maps import Map, percent
from labkit.explore._space import Space
from labkit.explore._trust import Trust


@dataclass(frozen=True)
class Findings:
    """What was measured about one map of one space; None where it was not, or could not be."""

    trust: Trust | None = None
    probe_full: float | None = None
    probe_map: float | None = None
    rank: float | None = None
    agreement: "Agreement | None" = None


@dataclass(frozen=True)
class Agreement:
    """How alike two embeddings of the same items are: linear CKA, and the share of nearest neighbours in common."""

    cka: float
    shared: float


def caption(drawn: Map, frame: int, space: Space, found: Findings | None) -> str:
    """The caption of one map at a frame of it; parts in ** ** are shown in bold."""
    if len(space) == 1:
        return "One point: it has no neighbours, and no map can be wrong about it."
    if space.variance == 0:
        return f"**All {len(space):,} points are the same vector**: this embedding has collapsed to one spot."
    if drawn.kind == "raw" and set(drawn.axes) == set(range(space.dim)):
        probe = f" A linear probe reaches **{percent(found.probe_full)}**." if found and found.probe_full else ""
        they = "These are the 2 dimensions" if space.dim == 2 else "This is the one dimension"
        themselves = "themselves" if space.dim == 2 else "itself"
        alike = f" {_agreement(found.agreement)}" if found and found.agreement else ""
        return f"{they} of the embedding {themselves}: nothing is projected.{probe}{alike}"
    sentences = [
        _claims(drawn, frame, space, found),
        _errors(found.trust) if found and found.trust else "",
        _outliers(drawn.outside(frame)),
        _probes(space, found) if found else "",
        f"Centred, its effective rank is {found.rank:.1f} of {space.dim}." if found and found.rank else "",
        _agreement(found.agreement) if found and found.agreement else "",
    ]
    return " ".join(filter(None, sentences))


def _outliers(count: int) -> str:
    if count == 0:
        return ""
    they = "1 outlying point lies" if count == 1 else f"{count:,} outlying points lie"
    return f"{they} beyond the first view; zoom out to see {'it' if count == 1 else 'them'}."


def opening(label: str) -> str:
    """As a sentence begins; names keep their case."""
    return label if label.startswith("t-SNE") else label[:1].upper() + label[1:]


def _claims(drawn: Map, frame: int, space: Space, found: Findings | None) -> str:
    claims = list(filter(None, [drawn.claim(frame)]))
    label = opening(drawn.label)
    if found is None:
        return f"{label} {' and '.join([*claims, 'is being checked against the original neighbours…'])}"
    if found.trust:
        measured = len(found.trust.rows)
        part = "" if measured == len(space) else f" (measured on {measured:,} points)"
        claims.append(f"keeps **{percent(found.trust.kept.mean())}** of the {found.trust.k} nearest neighbours{part}")
    return f"{label} {' and '.join(claims)}." if claims else f"{label}."


def _errors(trust: Trust) -> str:
    false, torn = percent(trust.false.mean()), percent(trust.torn.mean())
    return f"Of the neighbours it shows {false} are false; {torn} of the true ones are torn away."


def _probes(space: Space, found: Findings) -> str:
    if found.probe_full is None or found.probe_map is None:
        return ""
    full, flat = percent(found.probe_full), percent(found.probe_map)
    return f"A linear probe reaches **{full}** in all {space.dim} dimensions and **{flat}** in these two."


def _agreement(agreement: Agreement) -> str:
    shared = percent(agreement.shared)
    return f"The two embeddings: linear CKA **{agreement.cka:.2f}**, **{shared}** of nearest neighbours shared."
