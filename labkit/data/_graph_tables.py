"""A graph in text tables: a list of edges, and beside it a table of features and one of labels."""

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, remove_self_loops, to_undirected

SUFFIXES = (".edges", ".edgelist", ".csv", ".tsv", ".txt")
TABLES = (".csv", ".tsv", ".txt")
LINE = 2**24  # characters: a longer line is no table
_HEADERS = {("source", "target"), ("src", "dst"), ("from", "to"), ("u", "v"), ("node1", "node2")}


def read_tables(path: Path) -> Data:
    """The graph whose edges are listed in ``path``; its features and labels stand beside it.

    For ``mine.edges`` (or .edgelist, .csv, .tsv, .txt) those are ``mine.features.csv`` and ``mine.labels.csv`` (or
    .tsv, .txt), both optional.

    edges: ``source target`` or ``source target weight`` on each line. features: ``node number number …``. labels:
    ``node class``. Columns are separated by comma, tab, semicolon or spaces, whichever the first line has (two kinds of
    marks there are refused: decimal commas would look like columns); lines that start with # or % and empty lines are
    skipped, and so is a first line that names its columns (edges: "source target", "src dst", "from to", "u v", "node1
    node2"; the others: when it starts with "node" or "id"). A node whose name starts with # stands in quotes.

    Nodes are numbered as the features list them, else as the labels do, else by size where all names are whole numbers,
    else as the edges name them first; ``node_names`` keeps the names. Classes are numbered in the order of their sorted
    names, kept in ``class_names``. An edge stands for both directions; self-loops are left out.

    Cost: O(edges + nodes · features), some 0.2 µs a number: it is text.
    """
    stem = path.name.removesuffix(path.suffix)
    features, labels = (_beside(path, f"{stem}.{part}") for part in ("features", "labels"))
    sources, targets, weights = _edges(path)
    described, x = _features(features) if features else ([], None)
    labelled, values = _labels(labels) if labels else ([], [])
    listed = described or labelled
    names = listed or _order(sources + targets)
    number = {name: i for i, name in enumerate(names)}
    where = (features or labels).name if listed else path.name
    edge_index = torch.tensor([_numbers(column, number, path.name, where) for column in (sources, targets)])
    data = undirected(edge_index.reshape(2, -1), weights, len(names), path.name)
    data.node_names = tuple(names)
    if features:
        data.x = x
        counted = x[0].tolist() == list(range(x.shape[1])) and x.shape[1] > 1
        if names[0] not in {*sources, *targets} and (counted or _names_columns(names[:1], names[1:])):
            raise ValueError(
                f"the first line of {features.name} ({names[0]}, ...) seems to name its columns: no edge knows this "
                "node; remove it, or put it further down"
            )
        del data.num_nodes  # x says it; two sources could disagree
    if labels:
        label = dict(zip(labelled, values, strict=True))
        first, *others = values
        if not features and names[0] not in {*sources, *targets} and others and first not in others:
            raise ValueError(
                f"the first line of {labels.name} ({names[0]}, {first}) seems to name its columns: no edge and no "
                "other line knows either; remove it, or put it further down"
            )
        _numbers(labelled, number, labels.name, where)
        lacking = [name for name in names if name not in label]
        if lacking:
            raise ValueError(
                f"{labels.name} has no label for {len(lacking)} of {len(names)} nodes (first: {lacking[0]!r})"
            )
        data.y, data.class_names = classes([label[name] for name in names])
    return data


def undirected(edge_index: Tensor, weights: list[float] | None, n: int, where: str) -> Data:
    """Both directions of each edge, once; self-loops are left out. An edge may be listed twice, with one weight."""
    weight = None if weights is None else torch.tensor(weights)
    edge_index, weight = remove_self_loops(edge_index, weight)
    if weight is None:
        return Data(edge_index=to_undirected(edge_index, num_nodes=n), num_nodes=n)
    both, weight = torch.cat([edge_index, edge_index.flip(0)], dim=1), torch.cat([weight, weight])
    low, high = (coalesce(both, weight, n, reduce=reduce) for reduce in ("min", "max"))
    if not torch.equal(low[1], high[1]):
        a, b = low[0][:, (low[1] != high[1]).nonzero()[0, 0]].tolist()
        raise ValueError(f"{where} gives the edge between nodes {a} and {b} two different weights; keep one of them")
    return Data(edge_index=low[0], edge_weight=low[1], num_nodes=n)


def classes(values: list) -> tuple[Tensor, tuple]:
    """The class of each item, numbered in the order of the sorted class names, and those names.

    Warns of -1 and nan, which are classes like the others here and "unknown" in many files.
    """
    names = _sorted(set(values))
    for name in names:
        if str(name).lower() in ("-1", "nan", "none", "null"):
            warnings.warn(
                f"the label {name!r} of {values.count(name)} nodes counts as a class of its own; where it stands for "
                "no label, remove these nodes, or keep them out of every split",
                stacklevel=2,
            )
    number = {name: i for i, name in enumerate(names)}
    return torch.tensor([number[value] for value in values]), tuple(names)


def _edges(path: Path) -> tuple[list[str], list[str], list[float] | None]:
    sources, targets, weights = [], [], []
    header: list[str] = []

    def is_header(row: list[str]) -> bool:
        named = tuple(cell.lower() for cell in row[:2]) in _HEADERS
        header[:] = row if named else header
        return named

    for line, row in _rows(path, is_header):
        if header and len(row) > len(header):
            raise ValueError(
                f"line {line} of {path.name} has {len(row)} columns, and its first line names {len(header)}: a "
                "column of row numbers, maybe; write the table without it"
            )
        if row[2:] and row[2].startswith("{"):
            raise ValueError(
                f"line {line} of {path.name} ends in a dictionary, as networkx writes its edges; write them with "
                "networkx.write_edgelist(graph, path, data=False), or data=['weight'] to keep weights"
            )
        if len(row) not in (2, 3):
            raise ValueError(f"line {line} of {path.name} has {len(row)} columns; expected source, target[, weight]")
        sources.append(row[0])
        targets.append(row[1])
        if len(row) == 3:
            weights.append(_number(row[2], path, line))
    if not sources:
        raise ValueError(f"the graph is empty: {path.name} lists no edge")
    if {*header[:2]} & {*sources, *targets}:
        raise ValueError(
            f"the first line of {path.name} ({', '.join(header)}) may be an edge or the columns' names: there are "
            "nodes of that name; put another line first, or name the columns source,target"
        )
    if _names_columns((sources[0], targets[0]), sources[1:] + targets[1:]):
        raise ValueError(
            f"the first line of {path.name} ({sources[0]}, {targets[0]}) seems to name its columns; remove it"
        )
    if weights and len(weights) != len(sources):
        raise ValueError(
            f"{path.name} gives a weight to {len(weights)} of {len(sources)} edges; give one to all or none"
        )
    return sources, targets, weights or None


def _features(path: Path) -> tuple[list[str], Tensor]:
    names, rows = [], []
    for line, row in _rows(path, _is_header):
        if rows and len(row) - 1 != len(rows[0]):
            raise ValueError(f"line {line} of {path.name} has {len(row) - 1} features, the first row {len(rows[0])}")
        names.append(row[0])
        try:
            rows.append(np.array(row[1:], dtype=np.float32))
        except ValueError:
            bad = next(cell for cell in row[1:] if not _is_number(cell))
            raise ValueError(f"line {line} of {path.name} holds {bad!r} where a number should be") from None
    _require_once(names, path)
    return names, torch.from_numpy(np.stack(rows))


def _labels(path: Path) -> tuple[list[str], list]:
    names, values = [], []
    for line, row in _rows(path, _is_header):
        if len(row) != 2:
            raise ValueError(f"line {line} of {path.name} has {len(row)} columns; expected node, class")
        names.append(row[0])
        values.append(row[1])
    _require_once(names, path)
    whole = all(re.fullmatch(r"-?\d{1,18}", value) and str(int(value)) == value for value in values)  # 01 is not 1
    return names, [int(value) for value in values] if whole else values


def _rows(path: Path, is_header) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that holds something."""
    separator, started, width = None, False, 0
    comments: list[tuple[int, str]] = []  # that may be none
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for line, text in enumerate(iter(lambda: file.readline(LINE + 1), ""), start=1):
                if len(text) > LINE or "\0" in text:
                    raise ValueError(f"{path.name} is no text table: line {line} is " + (
                        "longer than 16 MB" if len(text) > LINE else "binary"))  # fmt: skip
                if not text.strip():
                    continue
                text = text.rstrip().lstrip(" ")  # a tab in front stands behind an empty cell
                if text[0] in "#%":
                    comments += [(line, text)] if re.match(r"[#%][^\s#%!]", text) else []
                    continue
                separator = separator or _separator(text, line, path)
                row = _split(text, separator)
                width = len(row)
                if "" in row:
                    raise ValueError(f"line {line} of {path.name} has an empty cell")
                if not started and is_header(row):
                    started = True
                    continue
                started = True
                yield line, row
        for line, text in comments:
            row = _split(text, separator or " ")
            if len(row) == width and not is_header([row[0][1:], *row[1:]]):
                raise ValueError(
                    f"line {line} of {path.name} ({text[:40]}) starts like a comment and has as many columns as the "
                    f"others: write '{text[0]} ' before a comment, or put the name in quotes and commas between columns"
                )
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is no text in UTF-8 ({error.reason} at byte {error.start})") from error


def _separator(text: str, line: int, path: Path) -> str:
    """The mark between the columns of a line, outside of quotes; spaces where there is none."""
    plain = re.sub(r'"[^"]*"', "", text)
    marks = {name: mark for name, mark in (("commas", ","), ("tabs", "\t"), ("semicolons", ";")) if mark in plain}
    if len(marks) > 1:
        raise ValueError(
            f"line {line} of {path.name} holds {' and '.join(marks)}, and only one can separate columns: write numbers "
            "with a decimal point, and put names that hold such a mark in quotes"
        )
    return next(iter(marks.values()), " ")


def _split(text: str, separator: str) -> list[str]:
    if separator == " ":
        return text.split() if '"' not in text else list(filter(None, _cells(" ".join(text.split()), " ")))
    return [cell.strip() for cell in _cells(text, separator)]


def _cells(text: str, separator: str) -> list[str]:
    """What quoting needs csv for; most lines do without."""
    try:
        return next(csv.reader([text], delimiter=separator)) if '"' in text else text.split(separator)
    except csv.Error:  # a cell of more than 128 kB in quotes
        return text.split(separator)


def _names_columns(first: Sequence[str], others: list[str]) -> bool:
    """Whether the first line holds no number where all others hold nothing else; looked at first, as it rarely does."""
    whole = re.compile(r"[+-]?\d{1,18}").fullmatch
    return bool(others) and not any(map(whole, first)) and all(map(whole, others))


def _is_header(row: list[str]) -> bool:
    return row[0].lower() in ("node", "id", "name", "node_id")


def _beside(path: Path, stem: str) -> Path | None:
    found = [beside for suffix in TABLES if (beside := path.with_name(stem + suffix)).is_file()]
    if len(found) > 1:
        raise ValueError(f"{found[0].name} and {found[1].name} both stand beside {path.name}; keep one of them")
    return found[0] if found else None


def _numbers(names: list[str], number: dict[str, int], of: str, listed_in: str) -> list[int]:
    try:
        return [number[name] for name in names]
    except KeyError as error:
        raise ValueError(f"{of} names the node {error.args[0]!r}, which {listed_in} does not list") from None


def _order(names: list[str]) -> list[str]:
    seen = list(dict.fromkeys(names))
    return sorted(seen, key=int) if all(re.fullmatch(r"\d{1,18}", name) for name in seen) else seen


def _sorted(values: set) -> list:
    return sorted(values) if len({isinstance(value, str) for value in values}) == 1 else sorted(values, key=str)


def _number(cell: str, path: Path, line: int) -> float:
    if not _is_number(cell) or not np.isfinite(float(cell)) or float(cell) < 0:
        raise ValueError(
            f"line {line} of {path.name} gives an edge the weight {cell!r}; expected a number of at least 0"
        )
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python reads 1_0 as ten


def _require_once(names: list[str], path: Path) -> None:
    if not names:
        raise ValueError(f"{path.name} lists no node")
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))
        raise ValueError(f"{path.name} lists the node {twice!r} twice")
