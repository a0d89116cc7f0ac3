"""A constant sparse matrix that is multiplied in both directions: bag-of-words features, graph propagation."""

import math
import warnings
from functools import cached_property

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import require_between
from labkit._remembered import Remembered

SPARSE_BELOW = 0.1  # share of non-zeros at which CSR products 512 wide take as long as dense ones; narrower ones less

_converted = Remembered()


class SparseMatrix:
    """A constant [rows, columns] matrix in CSR form, its transpose stored beside it.

    ``matrix @ dense`` has a gradient for ``dense``: with the transpose at hand, forward and backward are both CSR
    products (torch's own backward multiplies by a CSC view, which is several times slower on a CPU).

    Example:
        >>> x = SparseMatrix.from_dense(features)         # Cora: 2708 × 1433, 1.3 % non-zero
        >>> hidden = x @ weight                           # [2708, hidden], time O(non-zeros · hidden)
        >>> masked = x.scale_columns(keep)                # same as features * keep, nothing is copied
    """

    def __init__(self, matrix: Tensor, transpose: Tensor, column_factor: Tensor | None = None):
        self.matrix, self.transpose, self.column_factor = matrix, transpose, column_factor

    @cached_property
    def _order(self) -> Tensor:
        """Entry k of the transpose is entry ``_order[k]`` of the matrix: both stand sorted, one by columns first."""
        return torch.argsort(self.matrix.col_indices(), stable=True)

    @classmethod
    def from_edges(
        cls, row: Integer[Tensor, " n"], column: Integer[Tensor, " n"], value: Float[Tensor, " n"], shape
    ) -> "SparseMatrix":
        """From coordinates; entries that appear twice add up. They get no gradient, and so must not ask for one."""
        if value.requires_grad:
            raise ValueError("a SparseMatrix gives its entries no gradient: hand in value.detach()")
        if row.device.type == "cpu":  # SciPy sorts by counting: three times as quick as torch's stable sorts
            from scipy.sparse import csr_array

            matrix = csr_array((value.detach().numpy(), (row.numpy(), column.numpy())), shape=tuple(shape))
            return cls(_torch_csr(matrix), _torch_csr(matrix.T.tocsr()))
        return cls(*_both_ways(row, column, value, shape))

    @classmethod
    def from_dense(cls, x: Float[Tensor, "rows columns"]) -> "SparseMatrix":
        """From a dense matrix; its zeros are dropped."""
        row, column = x.nonzero(as_tuple=True)
        return cls.from_edges(row, column, x[row, column], x.shape)

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.matrix.shape)

    @property
    def device(self) -> torch.device:
        return self.matrix.device

    def scale_columns(self, factor: Float[Tensor, " columns"]) -> "SparseMatrix":
        """The matrix times diag(factor), as a factor that is kept aside."""
        if self.column_factor is not None:
            factor = factor * self.column_factor
        return SparseMatrix(self.matrix, self.transpose, factor)

    def dropout(self, p: float) -> "SparseMatrix":
        """Each non-zero entry set to zero with probability ``p``, the others divided by 1 − p; time O(non-zeros)."""
        require_between("p", p, 0, 1)
        if p == 0:
            return self
        values = self.matrix.values()
        keep = (torch.rand_like(values) >= p).to(values.dtype) / max(1 - p, torch.finfo().tiny)
        return SparseMatrix(
            _with_values(self.matrix, values * keep),
            _with_values(self.transpose, self.transpose.values() * keep[self._order]),
            self.column_factor,
        )

    def squared_rows(self) -> Float[Tensor, " rows"]:
        """Squared length of every row."""
        entries = self.matrix.values()
        if self.column_factor is not None:
            entries = entries * self.column_factor[self.matrix.col_indices()]
        rows = torch.repeat_interleave(self.matrix.crow_indices().diff())
        return entries.new_zeros(self.shape[0]).index_add(0, rows, entries.square())

    def to(self, device=None, **_) -> "SparseMatrix":
        factor = None if self.column_factor is None else self.column_factor.to(device)
        return SparseMatrix(self.matrix.to(device), self.transpose.to(device), factor)

    def to_dense(self) -> Tensor:
        dense = self.matrix.to_dense()
        return dense if self.column_factor is None else dense * self.column_factor

    def __matmul__(self, dense: Float[Tensor, "columns dim"]) -> Float[Tensor, "rows dim"]:
        if self.column_factor is not None:
            dense = self.column_factor[:, None] * dense
        return _Product.apply(self.matrix, self.transpose, dense)

    def __repr__(self) -> str:
        rows, columns = self.shape
        filled = self.matrix.values().numel()
        return f"SparseMatrix({rows} × {columns}, {filled} non-zeros, {100 * filled / (rows * columns):.2g} %)"


class MaskedRows:
    """A matrix some of whose rows are another row of ``x``, or a learned token: what a masked encoder looks at.

    Nothing is copied: like :class:`SparseMatrix` it can be multiplied by a weight, and dropped out.

    Args:
        x: [rows, columns], dense or a SparseMatrix.
        source: [rows], which row of x stands at each place.
        hidden: places where the token stands instead.
        token: [tokens, columns]: one, or several that the hidden places take in turn.
    """

    draws = 64  # of a token's dropout: as many tokens as hidden places would cost a dense product of that height

    def __init__(self, x: "Tensor | SparseMatrix", source: Tensor, hidden: Tensor, token: Tensor):
        self.x, self.source, self.hidden, self.token = x, source, hidden, token

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.source), self.x.shape[1]

    def dropout(self, p: float) -> "MaskedRows":
        """Entries set to zero with probability ``p``.

        A row of x that stands in several places has one draw there, the token ``draws`` of them: were it one for all,
        neighbours would share their noise, and no mean over a neighbourhood would take it away.
        """
        drawn = dropout(self.token.repeat(self.draws, 1)[: len(self.hidden)], p)
        return MaskedRows(dropout(self.x, p), self.source, self.hidden, drawn)

    def __matmul__(self, weight: Float[Tensor, "columns dim"]) -> Float[Tensor, "rows dim"]:
        rows = (self.x @ weight).index_select(0, self.source)
        turn = torch.arange(len(self.hidden), device=rows.device) % max(1, len(self.token))
        tokens = (self.token @ weight).to(rows.dtype)  # a sparse product stays exact where autocast shortens this one
        return rows.index_put((self.hidden,), tokens.index_select(0, turn))


@checked(numbers=False)
def dropout(
    x: "Float[Tensor, '*shape'] | SparseMatrix | MaskedRows", p: float, training: bool = True
) -> "Float[Tensor, '*shape'] | SparseMatrix | MaskedRows":
    """Entries set to zero with probability ``p``, the others divided by 1 − p (Srivastava et al. 2014).

    As ``torch.nn.functional.dropout``, which on a CPU draws 64 bits for each entry, one after the other, and takes
    longer than the layer behind it; here four entries share them.

    Args:
        x: of a :class:`SparseMatrix` the non-zero entries are dropped.
        p: 0 to 1; met to within 2^-17 on a CPU.
        training: False: ``x`` as it is.
    """
    require_between("p", p, 0, 1)
    if not training or p == 0:
        return x
    if not isinstance(x, Tensor):
        return x.dropout(p)
    lost = round(p * 2**16)
    if x.device.type != "cpu" or lost == 2**16:
        return F.dropout(x, p)
    limits = torch.iinfo(torch.int64)
    words = torch.randint(limits.min, limits.max, (math.ceil(x.numel() / 4),))
    draws = words.view(torch.int16)[: x.numel()].view(x.shape)
    return x * (draws >= lost - 2**15).to(x.dtype).mul_(2**16 / (2**16 - lost))


@checked(numbers=False)
def sparse_if_faster(x: Tensor) -> "Tensor | SparseMatrix":
    """``x`` as a :class:`SparseMatrix` when under 10 % of it is non-zero, else ``x`` itself.

    The conversion is remembered for as long as ``x`` lives and stays unchanged, so a training loop may call this in
    every step; torch sees no change made through ``.numpy()`` or ``.data``. What asks for a gradient stays dense: a
    :class:`SparseMatrix` gives its entries none.
    """
    if x.requires_grad:
        return x
    sparse = _converted.of(x, lambda: SparseMatrix.from_dense(x) if _is_sparse(x) else None)
    return x if sparse is None else sparse


def _is_sparse(x: Tensor) -> bool:
    half = x.dtype in (torch.float16, torch.bfloat16)  # there is no sparse product in half precision
    return x.dim() == 2 and not half and x.count_nonzero().item() < SPARSE_BELOW * x.numel()


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, matrix: Tensor, transpose: Tensor, dense: Tensor) -> Tensor:
        ctx.transpose = transpose
        with torch.autocast(dense.device.type, enabled=False):  # there is no sparse product in half precision
            return product(matrix, dense.to(matrix.dtype))

    @staticmethod
    def backward(ctx, upstream: Tensor):
        return None, None, product(ctx.transpose, upstream.contiguous())


def product(matrix: Tensor, dense: Float[Tensor, "columns dim"]) -> Float[Tensor, "rows dim"]:
    """A CSR matrix times a dense one. MKL writes over what is there; with ``@`` torch fills it with zeros, twice."""
    if dense.device.type != "cpu" or not torch.backends.mkl.is_available():
        return matrix @ dense
    if dense.dim() != 2 or len(dense) != matrix.shape[1]:
        raise ValueError(
            f"a sparse matrix {list(matrix.shape)} is multiplied by a matrix [{matrix.shape[1]}, dim], not by one of "
            f"shape {list(dense.shape)}; a vector goes as vector[:, None]"
        )
    out = dense.new_empty(matrix.shape[0], dense.shape[1])
    return torch.addmm(out, matrix, dense, beta=0, out=out)


def _with_values(matrix: Tensor, values: Tensor) -> Tensor:
    return csr(matrix.crow_indices(), matrix.col_indices(), values, matrix.shape)


def _both_ways(row: Tensor, column: Tensor, value: Tensor, shape) -> tuple[Tensor, Tensor]:
    """The CSR matrix and its transpose, each sorted and every entry there once: ``dropout`` tells entries by place."""
    with warnings.catch_warnings():  # PyTorch says on some devices that it does not check what is built right here
        warnings.simplefilter("ignore", UserWarning)
        entries = torch.sparse_coo_tensor(torch.stack([row, column]).long(), value.detach(), tuple(shape)).coalesce()
        return entries.to_sparse_csr(), entries.t().coalesce().to_sparse_csr()


def _torch_csr(matrix) -> Tensor:
    """A SciPy CSR matrix as torch's; its indices stay int32 where they fit: MKL would convert them in every product."""
    return csr(*(torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data)), matrix.shape)


def csr(start: Tensor, column: Tensor, value: Tensor, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():  # "sparse CSR is in beta": the products used here are tested against dense ones
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(start, column, value, size=shape)
