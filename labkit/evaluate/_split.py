"""Which items a probe learns from, chooses on, and is scored on."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_counts


@checked(numbers=False)
@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of train, validation and test items; each row of the three is one repeat of the split.

    Attributes:
        train, validation, test: int64 [splits, n_train], [splits, n_validation], [splits, n_test]; one-dimensional
            input counts as one split. ``validation`` may be None. Within a split they share no item.
        name: in words, e.g. "public 140/500/1000"; printed with every score.

    Raises:
        ValueError: an item in two parts of a split or twice in one, a negative number, an empty part, parts that
            disagree about the number of splits.

    Example:
        >>> split = Split.random(data.y, train=0.1, validation=0.1, test=0.8, repeats=20)
        >>> split = Split(train_rows, None, test_rows, name="my own")
    """

    train: Tensor
    validation: Tensor | None
    test: Tensor
    name: str = "given"

    def __post_init__(self):
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        for part, rows in parts.items():
            if rows is not None:
                object.__setattr__(self, part, _as_rows(part, rows))
        given = {part: getattr(self, part) for part in parts if parts[part] is not None}
        if len({len(rows) for rows in given.values()}) > 1:
            sizes = ", ".join(f"{part} {len(rows)}" for part, rows in given.items())
            raise ValueError(f"train, validation and test must have as many splits (rows) as each other: {sizes}")
        taken = torch.cat(list(given.values()), dim=1).sort(dim=1).values
        twice = (taken[:, 1:] == taken[:, :-1]).nonzero()
        if len(twice):
            s, position = twice[0].tolist()
            item = int(taken[s, position])
            where = [part for part, rows in given.items() if bool((rows[s] == item).any())]
            raise ValueError(
                f"item {item} of split {s} is in {' and in '.join(where) if len(where) > 1 else where[0] + ' twice'}; "
                "every item may be in one part of a split only"
            )

    @classmethod
    def public(cls, data: Any) -> "Split":
        """The split that comes with the data: masks of a PyG ``Data``, or "train" and "test" of an image set.

        Masks may be [nodes] or, as in PyG's WikiCS or heterophilous graphs, [nodes, splits].
        """
        if getattr(data, "train_mask", None) is not None and getattr(data, "test_mask", None) is not None:
            validation = getattr(data, "val_mask", None)
            parts = [
                None if mask is None else _from_mask(mask, part)
                for mask, part in ((data.train_mask, "train"), (validation, "val"), (data.test_mask, "test"))
            ]
            columns = {len(part) for part in parts if part is not None} - {1}
            if len(columns) > 1:
                raise ValueError(f"masks must have as many splits as each other, or one, not {sorted(columns)}")
            repeats = max(len(part) for part in parts if part is not None)
            parts = [None if p is None else p.expand(repeats, -1) for p in parts]
        elif {"train", "test"} <= set(getattr(data, "splits", None) or ()):
            parts = [data.splits["train"], data.splits.get("validation"), data.splits["test"]]
        else:
            raise ValueError(
                "the data has no split of its own (train_mask and test_mask, or splits with 'train' and 'test'); "
                "use Split.random(data.y)"
            )
        sizes = [str(part.shape[-1]) for part in parts if part is not None]
        return cls(*parts, name=f"public {'/'.join(sizes)}")

    @classmethod
    @checked(numbers=False)
    def random(
        cls,
        y: Tensor,
        train: float = 0.1,
        validation: float | int | None = 0.1,
        test: float = 0.8,
        repeats: int = 1,
        seed: int = 0,
    ) -> "Split":
        """Uniformly random parts, drawn ``repeats`` times; not stratified, as in GRACE, GCA and BGRL.

        Args:
            y: [items] labels; only their number is used here, a class that a train part misses is refused by the probe.
            train, validation, test: shares of all items, together at most 1; validation None or 0 for none. Train and
                validation are rounded down, test takes the rest when the shares add up to 1.
            repeats: number of splits.
            seed: the same seed gives the same splits.

        Raises:
            ValueError: shares outside (0, 1), above 1 together, or too small to hold an item.
        """
        if not hasattr(y, "__len__"):
            raise ValueError(f"y must hold one label for each item, not {y!r}: what has no labels can't be scored")
        shares = {"train": train, "validation": validation or 0, "test": test}
        for part, share in shares.items():
            if not (0 < share < 1 or (part == "validation" and share == 0)):
                raise ValueError(f"{part} must be a share of the items between 0 and 1, not {share}")
        total = sum(shares.values())
        if total > 1 + 1e-9:
            raise ValueError(f"train, validation and test must add up to at most 1, not {total:g}")
        require_counts(repeats=repeats)
        n = len(y)
        sizes = {part: int(n * share + 1e-9) for part, share in shares.items()}
        if abs(total - 1) < 1e-9:
            sizes["test"] = n - sizes["train"] - sizes["validation"]
        for part, size in sizes.items():
            if size == 0 and shares[part] > 0:
                raise ValueError(f"{part}={shares[part]} of {n} items holds no item; use a larger share")
        generator = torch.Generator("cpu").manual_seed(seed)
        order = torch.stack([torch.randperm(n, generator=generator, device="cpu") for _ in range(repeats)]).to(y.device)
        parts = order[:, : sum(sizes.values())].split(list(sizes.values()), dim=1)
        percent = "/".join(f"{100 * share:g}" for share in shares.values() if share)
        return cls(parts[0], parts[1] if shares["validation"] else None, parts[2], name=f"random {percent} %")

    def __len__(self) -> int:
        """Number of splits."""
        return len(self.train)

    def to(self, device: torch.device | str) -> "Split":
        """The same split on another device."""
        move = (part if part is None else part.to(device) for part in (self.train, self.validation, self.test))
        return Split(*move, name=self.name)

    def __repr__(self) -> str:
        sizes = [part.shape[1] for part in (self.train, self.validation, self.test) if part is not None]
        return f"Split({self.name!r}, {len(self)} × {'/'.join(map(str, sizes))} items)"


def _as_rows(part: str, rows: Tensor) -> Int64[Tensor, "splits items"]:
    if rows.dtype == torch.bool or rows.is_floating_point():
        raise ValueError(
            f"{part} must hold row numbers (integers), not {rows.dtype}; use mask.nonzero().flatten() on a mask"
        )
    if rows.dim() not in (1, 2) or rows.numel() == 0:
        raise ValueError(f"{part} must have shape [splits, items] with at least one item, not {list(rows.shape)}")
    rows = (rows if rows.dim() == 2 else rows[None]).long()
    if rows.min() < 0:
        raise ValueError(f"{part} holds the row number {int(rows.min())}; row numbers start at 0")
    return rows


def _from_mask(mask: Tensor, part: str) -> Tensor:
    columns = mask.reshape(len(mask), -1).T
    sizes = columns.sum(dim=1)
    if not sizes.any():
        raise ValueError(
            f"{part}_mask marks no item" + ("; set it to None where there is none" if part == "val" else "")
        )
    if sizes.min() != sizes.max():
        raise ValueError(
            f"{part}_mask has columns of {int(sizes.min())} to {int(sizes.max())} items; the splits of one Split "
            "must be equally large: take one column at a time"
        )
    return columns.nonzero()[:, 1].reshape(len(columns), -1)
