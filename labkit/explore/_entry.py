"""The one line that opens an Explorer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit.explore import _colours, _inputs, _time
from labkit.explore._explorer import Explorer
from labkit.explore._graph import Edges
from labkit.explore._inputs import Items
from labkit.explore._pictures import Pictures
from labkit.explore._sources import Sources
from labkit.explore._space import Series


@checked(numbers=False)
def explore(
    embedding: Any = None,
    labels: Any = None,
    *,
    images: Any = None,
    graph: Any = None,
    run: Any = None,
    columns: Any = None,
    texts: Iterable[Any] | None = None,
    class_names: Iterable[str] | Mapping[Any, str] | None = None,
    views: Callable | None = None,
    method: Any = None,
    projection: str | None = None,
    metric: str = "euclidean",
    k: int = 15,
    height: int = 460,
    max_points: int = 1_000_000,
    seed: int = 0,
) -> Explorer:
    """Look into an embedding: a map with the truth beside it.

    Args:
        embedding: [items, dim] as tensor, NumPy array, DataFrame, or path of an ``.npz``, ``.npy`` or ``.parquet``
            file; or a ``Run``, a PyG ``Data`` (its features) or an ``ImageSet`` (its pixels). May be left out when
            ``run`` is given.
        labels: [items] classes (integers, text) or measurements (floats), or the name of a column. Taken from
            ``images`` or ``graph`` when these have some.
        images: an ``ImageSet`` or [items, ...] pictures; shown on hover and beside neighbours.
        graph: PyG ``Data``, networkx graph or ``edge_index`` [2, edges] over the same items.
        run: its snapshots become a time axis, its method embeds augmented views of the clicked image.
        columns: name -> [items], or a DataFrame: further facts to colour by.
        texts: [items], shown on hover, found by the search field.
        class_names: names of the labels 0, 1, 2, ..., or a mapping from labels to names.
        views: images [m, channels, h, w] -> augmented images; default: the run's own, ``run.method.view``.
        method: what embeds the views; default ``run.method``.
        projection: the first map; default "pca", or the coordinates as they are when there are two. See
            ``Explorer.project``.
        metric: "euclidean", or "cosine": rows are scaled to length 1 first.
        k: neighbours that are counted and shown; of few items fewer, at most a fifth of them.
        height: of the map in pixels.
        max_points: above this an even, seeded sample is shown, and the widget says so.
        seed: of samples, UMAP, t-SNE and k-means.

    Returns:
        Explorer, a widget. ``.selection``, ``.neighbours``, ``.projection``, ``.to_frame()`` give back what it shows.

    Cost: PCA, O(n · dim²), before the first picture; everything slower is computed while the picture is already there.

    Raises:
        ValueError: an embedding that is not [items, dim], labels of another length, images of another count, edges to
            nodes that don't exist, a run without snapshots.

    Example:
        >>> explorer = labkit.explore.explore(z, labels=y, images=images)
        >>> explorer                      # lasso something, then
        >>> explorer.selection            # rows of z
    """
    if _inputs.is_frame(embedding):
        pass  # its columns are attributes too, and may have any of the names below
    elif hasattr(embedding, "snapshots"):
        run, embedding = embedding, None
    elif hasattr(embedding, "edge_index"):  # a PyG Data: its features, before anything is learned
        embedding, graph = embedding.x, embedding if graph is None else graph
    elif hasattr(embedding, "images"):  # an ImageSet: its pixels
        embedding, images = embedding.images.flatten(1) / 255, embedding if images is None else images
    if embedding is None and run is None:
        raise ValueError("explore needs an embedding [items, dim] or a run with snapshots")
    matrix, facts = (None, {}) if embedding is None else _inputs.read(embedding, labels=labels)
    frames, epochs = _time.snapshots(run, matrix) if run is not None else ([matrix], [0])
    items = _inputs.choose_rows(frames, max_points, seed)
    sources = _sources(items, facts, labels, images, graph, columns, texts, class_names, k, seed, height)
    series = Series([_inputs.take(frame, items.rows) for frame in frames], epochs, metric=metric)
    sources.series = {"left": series}
    if len(epochs) > 1:
        sources.timeline = _time.timeline(run, epochs, [series.at(frame) for frame in range(len(series))])
    method = method if method is not None else getattr(run, "method", None)
    if sources.pictures is not None and method is not None:
        sources.method, sources.view = method, views if views is not None else getattr(method, "view", None)
    elif views is not None:
        raise ValueError("views need images and a method (or a run) that embeds them")
    explorer = Explorer(sources)
    if projection is not None:
        explorer.project(projection)
    return explorer


@checked(numbers=False)
def compare(
    a: Any,
    b: Any,
    labels: Any = None,
    *,
    titles: tuple[str, str] = ("A", "B"),
    images: Any = None,
    graph: Any = None,
    columns: Any = None,
    texts: Iterable[Any] | None = None,
    class_names: Iterable[str] | Mapping[Any, str] | None = None,
    metric: str = "euclidean",
    k: int = 15,
    height: int = 420,
    max_points: int = 1_000_000,
    seed: int = 0,
) -> Explorer:
    """Two embeddings of the same items side by side: linked selection and hover, shared neighbours, CKA.

    Two losses, two epochs, two layers. Arguments are those of :func:`explore`; ``a`` and ``b`` may differ in width.

    Example:
        >>> labkit.explore.compare(run.snapshots[0], run.snapshots[20], y, titles=("untrained", "epoch 20"))
    """
    (left, facts), (right, more) = _inputs.read(a, "a", labels), _inputs.read(b, "b", labels)
    if len(left) != len(right):
        raise ValueError(f"a and b must hold the same items: a has {len(left):,} rows, b has {len(right):,}")
    items = _inputs.choose_rows([left, right], max_points, seed)
    sources = _sources(items, {**more, **facts}, labels, images, graph, columns, texts, class_names, k, seed, height)
    sources.series = {
        side: Series([_inputs.take(matrix, items.rows)], name=str(title), metric=metric)
        for side, matrix, title in zip(("left", "right"), (left, right), titles, strict=True)
    }
    return Explorer(sources)


def _sources(
    items: Items, facts: dict[str, np.ndarray], labels: Any, images: Any, graph: Any, columns: Any, texts: Any,
    class_names: Any, k: int, seed: int, height: int,
) -> Sources:  # fmt: skip
    """Everything but the embeddings, checked against the rows of the input."""
    require_counts(k=k)
    columns = _inputs.as_pandas(columns)
    if not (columns is None or isinstance(columns, Mapping) or _inputs.is_frame(columns)):
        raise TypeError(f"columns must be a mapping of names to values or a DataFrame, not {type(columns).__name__}")
    columns = {} if columns is None else {name: columns[name] for name in columns}
    label_name = labels if isinstance(labels, str) else str(getattr(labels, "name", None) or "label")
    labels = _inputs.find_labels(labels, {**facts, **columns})
    if labels is None:
        labels = next((y for y in (getattr(images, "labels", None), getattr(graph, "y", None)) if y is not None), None)
    sources = Sources(items, {}, k=k, seed=seed, height=height)
    if labels is not None:
        picked = items.pick("labels", labels)
        if class_names is not None:
            picked = _inputs.whole(picked)
        names = getattr(images, "class_names", None) if class_names is None else class_names
        if names is not None:
            pairs = names.items() if isinstance(names, Mapping) else enumerate(names)
            names = {str(label): called for label, called in pairs}
        sources.labels = _colours.column("label", label_name, picked, names)
    for name, values in {**facts, **columns}.items():
        if values is not labels:
            items.columns[str(name)] = items.pick(f"column {name!r}", values)
    if images is not None:
        sources.pictures = Pictures(images, items.total)
    if graph is not None:
        sources.edges = Edges(graph, items.rows, items.total)
    if texts is not None:
        sources.texts = items.pick("texts", np.fromiter(texts, dtype=object))
    return sources
