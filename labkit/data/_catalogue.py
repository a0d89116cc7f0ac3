"""The list of data sets: what each is, where its files come from, and what must come out."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes:
        path: where it lies below ``$LABKIT_DATA`` or ``data/``.
        bytes: its size; 0 where its publisher states neither size nor checksum.
        sha256: its checksum; empty where none is published: what is read from it is checked instead.
        url: where it is downloaded from; None where no address gives these bytes.
        also: {"sha256", "bytes", "what"} of other bytes with the same content that are accepted too; where there are
            such, ``url`` gives them.
        note: how this file differs from the one the authors published.
        needed_by: the option of ``load`` that reads it; empty where every call does.
    """

    path: str
    bytes: int = 0
    sha256: str = ""
    url: str | None = None
    also: dict[str, Any] | None = None
    note: str = ""
    needed_by: str = ""

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def accepted(self) -> dict[str, int]:
        """sha256 -> bytes of everything that may stand under this path; empty where no checksum is published."""
        if not self.sha256:
            return {}
        return {self.sha256: self.bytes} | ({self.also["sha256"]: self.also["bytes"]} if self.also else {})


@dataclass(frozen=True)
class Entry:
    """One data set of the catalogue.

    Attributes:
        name: what ``load`` takes.
        kind: "graph", "graphs", "images", ...: what ``load`` gives.
        summary: one line.
        reader: "module.what", where ``read_what`` of that module of labkit.data reads it.
        files: what it is read from; empty for what needs no download.
        licence, citation, home: as the authors state them.
        expected: the sizes that must come out of ``load(name)``.
        class_names: where the files themselves do not hold them.
    """

    name: str
    kind: str
    summary: str
    reader: str
    files: tuple[File, ...]
    licence: str
    citation: str
    home: str | None = None
    expected: dict[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    @property
    def offline(self) -> bool:
        """Whether it needs no file at all."""
        return not self.files

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    def file(self, name: str) -> File:
        """The file of this name (the last part of its path)."""
        return next(file for file in self.files if file.name == name)

    def __repr__(self) -> str:
        rows = [("kind", self.kind), ("summary", self.summary), ("licence", self.licence), ("cite", self.citation)]
        rows += [("home", self.home)] if self.home else []
        rows += (
            [("sizes", ", ".join(f"{value} {key}" for key, value in self.expected.items()))] if self.expected else []
        )
        amount = size(self.bytes) if self.bytes else "size not stated"
        rows += [("files", f"{len(self.files)}, {amount}" if self.files else "none: needs no download")]
        for file in self.files:
            known = f"{size(file.bytes)}  sha256 {file.sha256[:12]}…" if file.sha256 else "no checksum is published"
            rows.append(("", f"{file.path}  {known}"))
            rows.append(("", f"    {file.url or 'no address gives these bytes'}"))
            rows += [("", f"    read by {file.needed_by} only")] if file.needed_by else []
            rows += [("", f"    {file.note}")] if file.note else []
            rows += [("", f"    or {file.also['what']}, sha256 {file.also['sha256'][:12]}…")] if file.also else []
        return "\n".join([self.name, *(f"  {key:8} {value}" for key, value in rows)])


class Catalogue(dict[str, Entry]):
    """Name -> ``Entry``; prints as a table."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=4)
        rows = [f"{'name':{width}}  {'kind':19}  {'download':>9}  what"]
        for name, entry in self.items():
            amount = "none" if entry.offline else size(entry.bytes) if entry.bytes else "by hand"
            rows.append(f"{name:{width}}  {entry.kind:19}  {amount:>9}  {entry.summary}")
        return "\n".join(rows)


def size(amount: int) -> str:
    """Bytes for people: 22119 -> '22 kB'."""
    for unit, step in (("B", 1), ("kB", 10**3), ("MB", 10**6)):
        if amount < 1000 * step:
            return f"{amount / step:.3g} {unit}"
    return f"{amount / 10**9:.3g} GB"


@cache
def _entries() -> Catalogue:
    raw = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    return Catalogue(
        {
            name: Entry(
                name=name,
                files=tuple(File(**file) for file in fields.pop("files")),
                class_names=tuple(fields.pop("class_names", ())),
                **fields,
            )
            for name, fields in raw.items()
        }
    )


def catalogue() -> Catalogue:
    """Every data set that ``load`` knows: name -> ``Entry``. Print it for a table, print an entry for its sources."""
    return Catalogue(_entries())
