"""Molecules as SMILES with one measured number each."""

import csv
import io
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.data._catalogue import Entry
from labkit.data._store import read_bytes

_TARGETS = {"esol": "measured log solubility in mols per litre", "malaria": "activity", "cep": "PCE"}


@dataclass(frozen=True, repr=False, eq=False)
class Molecules:
    """SMILES strings and one number for each; they become graphs with rdkit, which labkit does not need.

    Attributes:
        smiles: one string a molecule.
        target: float32 [molecules].
        target_name: what the number is, as the file calls it.
        name: the data set's name.
    """

    smiles: tuple[str, ...]
    target: Float[Tensor, " molecules"]
    target_name: str
    name: str = "molecules"

    def __len__(self) -> int:
        return len(self.smiles)

    def __repr__(self) -> str:
        return f"Molecules({self.name}: {len(self)} with {self.target_name})"


def read_molecules(entry: Entry) -> Molecules:
    """ESOL (Delaney), malaria and CEP: the columns ``smiles`` and the target."""
    (file,) = entry.files
    rows = list(csv.DictReader(io.StringIO(read_bytes(entry, file).decode("utf-8"))))
    target = _TARGETS[entry.name]
    values = torch.tensor([float(row[target]) for row in rows])
    return Molecules(tuple(row["smiles"].strip() for row in rows), values, target, entry.name)
