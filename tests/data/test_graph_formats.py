"""Graphs in the formats people have them in: edge lists with tables beside them, GraphML, networkx, PyG."""

import re

import networkx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.transforms import Constant
from torch_geometric.utils import is_undirected

from labkit.data import load, read_graph, save_graph

EDGES = "a b\nb c\nc a\nc d\n"
FEATURES = "a,1,0\nb,0.5,0\nc,-1,2e3\nd,0,0\ne,7,7\n"
LABELS = "a red\nb red\nc blue\nd blue\ne red\n"


def write(folder, name="mine.edges", edges=EDGES, features=FEATURES, labels=LABELS):
    (folder / name).write_text(edges)
    stem = name.rsplit(".", 1)[0]
    for part, text, suffix in (("features", features, ".csv"), ("labels", labels, ".txt")):
        if text is not None:
            (folder / f"{stem}.{part}{suffix}").write_text(text)
    return folder / name


def pairs(data):
    return sorted(map(tuple, data.edge_index.t().tolist()))


@pytest.mark.parametrize("name", ["mine.edges", "mine.edgelist", "mine.csv", "mine.tsv", "mine.txt"])
def test_edges_features_and_labels(name, tmp_path):
    graph = read_graph(write(tmp_path, name))
    assert graph.node_names == ("a", "b", "c", "d", "e")  # e is isolated: the features list it
    assert pairs(graph) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 3), (3, 2)]
    assert graph.x.tolist() == [[1, 0], [0.5, 0], [-1, 2000], [0, 0], [7, 7]]
    assert graph.class_names == ("blue", "red")
    assert graph.y.tolist() == [1, 1, 0, 0, 1]
    assert graph.num_nodes == 5


@pytest.mark.parametrize(
    "edges",
    [
        "a,b\nb,c\nc,a\nc,d\n",
        "a\tb\nb\tc\nc\ta\nc\td",
        "a;b\nb;c\nc;a\nc;d\n",
        "# a comment\n\n% another\nsource target\na  b\nb c\nc   a\nc d\n",
        "From,To\r\na,b\r\nb,c\r\nc,a\r\nc,d\r\n",
        '"a","b"\n"b",c\nc,a\nc,d\n',
        "\ufeffa b\nb a\nb c\nc c\nc a\nc d\nd c\n",  # a byte order mark, both directions, a self-loop
    ],
)
def test_separators_headers_comments(edges, tmp_path):
    expected = pairs(read_graph(write(tmp_path, "one.edges")))
    assert pairs(read_graph(write(tmp_path, "two.edges", edges=edges))) == expected


def test_names_without_tables_are_numbered_by_size_or_first_come(tmp_path):
    path = write(tmp_path, edges="10 2\n2 1\n", features=None, labels=None)
    assert read_graph(path, Constant()).node_names == ("1", "2", "10")
    path.write_text("10 2\n2 x\n")
    assert read_graph(path, Constant()).node_names == ("10", "2", "x")


def test_labels_alone_number_the_nodes_and_whole_numbers_sort_as_numbers(tmp_path):
    path = write(tmp_path, features=None, labels="d 10\nc 2\nb 2\na 10\nz -1\n")
    with pytest.warns(UserWarning, match="the label -1 of 1 nodes counts as a class of its own"):
        graph = read_graph(path, Constant())
    assert graph.node_names == ("d", "c", "b", "a", "z")
    assert graph.class_names == (-1, 2, 10)
    assert graph.y.tolist() == [2, 1, 1, 2, 0]


def test_a_first_line_is_a_node_where_the_edges_or_other_lines_know_what_it_says(tmp_path):
    path = write(tmp_path, edges="a b\n", features="ID,f,g,h\na,0,1,2\nb,1,1,1\n", labels="Node class\na 0\nb 0\n")
    assert read_graph(path).node_names == ("a", "b")  # after what names the columns, numbers that count up
    (tmp_path / "mine.features.csv").unlink()
    (tmp_path / "mine.labels.txt").write_text("alone red\na red\nb blue\n")
    assert read_graph(path, Constant()).node_names == ("alone", "a", "b")


def test_a_label_that_is_none_is_a_class_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="the label 'NaN' of 2 nodes counts as a class of its own"):
        graph = read_graph(write(tmp_path, labels="a red\nb NaN\nc NaN\nd blue\ne red\n"))
    assert graph.class_names == ("NaN", "blue", "red")


def test_names_that_start_like_a_comment(tmp_path):
    path = write(tmp_path, "tags.csv", edges="#metoo,#blm\n#blm,sports\nsports,news\n", features=None, labels=None)
    with pytest.raises(ValueError, match=r"line 1 of tags\.csv \(#metoo,#blm\) starts like a comment"):
        read_graph(path, Constant())
    path.write_text('"#metoo","#blm"\n"#blm",sports\nsports,news\n')
    assert read_graph(path, Constant()).node_names == ("#metoo", "#blm", "sports", "news")
    path.write_text("# my tags, of 2020\n#made by hand\n#from,to\na,b\n%%x\n")  # comments, a header among them
    assert read_graph(path, Constant()).node_names == ("a", "b")
    path.write_text("a,b\n#last,one\n")
    with pytest.raises(ValueError, match=r"line 2 of tags\.csv"):
        read_graph(path, Constant())


def test_weights(tmp_path):
    path = write(tmp_path, edges="a b 2\nb c 0.5\nc a 1\nb a 2\n")
    graph = read_graph(path)
    weight = dict(zip(map(tuple, graph.edge_index.t().tolist()), graph.edge_weight.tolist()))
    assert weight == {(0, 1): 2, (1, 0): 2, (1, 2): 0.5, (2, 1): 0.5, (2, 0): 1, (0, 2): 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"edges": ""}, "the graph is empty: mine.edges lists no edge"),
        ({"edges": "# nothing\n"}, "lists no edge"),
        ({"edges": "a b\nb\n"}, "line 2 of mine.edges has 1 columns; expected source, target"),
        ({"edges": "a b c d\n"}, "line 1 of mine.edges has 4 columns"),
        ({"edges": "a b {'weight': 4}\n"}, r"line 1 of mine.edges ends in a dictionary.*data=False"),
        ({"edges": "a b {}\n"}, r"line 1 of mine.edges ends in a dictionary.*data=False"),
        ({"edges": "a b 1\nb c heavy\n"}, "line 2 of mine.edges gives an edge the weight 'heavy'"),
        ({"edges": "a b nan\n"}, "the weight 'nan'"),
        ({"edges": "a;b;0,5\n"}, "line 1 of mine.edges holds commas and semicolons, and only one can separate"),
        ({"edges": "a\tb\t0,5\n"}, "line 1 of mine.edges holds commas and tabs"),
        ({"edges": "a;b;1\nb;c;0,5\n"}, "line 2 of mine.edges gives an edge the weight '0,5'"),
        ({"edges": "a b -1\n"}, "the weight '-1'"),
        ({"edges": "a b 1\nb c\n"}, "a weight to 1 of 2 edges"),
        ({"edges": "a b 1\nb a 2\n"}, "between nodes 0 and 1 two different weights"),
        ({"edges": "a,b\nb,\n"}, "line 2 of mine.edges has an empty cell"),
        ({"edges": "a b\nb stranger\n"}, "mine.edges names the node 'stranger', which mine.features.csv does not list"),
        ({"edges": "a b\n\0\n"}, "line 2 is binary"),
        ({"edges": "id_1,id_2\n0,1\n1,2\n"}, r"the first line of mine.edges \(id_1, id_2\) seems to name its columns"),
        (
            {"features": None, "labels": "user club\n" + LABELS},
            r"mine.labels.txt \(user, club\) seems to name its columns",
        ),
        ({"edges": "a a\n"}, "the graph is empty: 5 nodes and no edge"),
        ({"features": "a,1\nb,2,3\n"}, "line 2 of mine.features.csv has 2 features, the first row 1"),
        ({"features": "a,1,2\nb,2,two\n"}, "line 2 of mine.features.csv holds 'two' where a number should be"),
        ({"features": "a,1\na,2\n"}, "mine.features.csv lists the node 'a' twice"),
        ({"features": ""}, "mine.features.csv lists no node"),
        ({"features": FEATURES.replace("7,7", "nan,7")}, "x holds NaN"),
        ({"features": "a\nb\nc\nd\ne\n"}, "x must have shape"),
        ({"features": None}, "no node features x"),
        ({"labels": "a 1\nb 2\n"}, "mine.labels.txt has no label for 3 of 5 nodes \\(first: 'c'\\)"),
        ({"labels": LABELS + "stranger red\n"}, "mine.labels.txt names the node 'stranger', which mine.features.csv"),
        ({"labels": "a red blue\n"}, "line 1 of mine.labels.txt has 3 columns; expected node, class"),
    ],
)
def test_tables_that_do_not_fit(changes, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        read_graph(write(tmp_path, **changes))


@pytest.mark.attack("tables")
def test_hostile_tables(tmp_path):
    path = write(tmp_path, features=None, labels=None)
    path.write_bytes(b"a b\n\xff\xfe\n")
    with pytest.raises(ValueError, match="no text in UTF-8"):
        read_graph(path)
    path.write_text("a" * (2**24 + 2))
    with pytest.raises(ValueError, match="line 1 is longer than 16 MB"):
        read_graph(path)
    path.write_text('a,"' + "b" * 200_000 + '"\n')  # csv's own limit is no crash
    assert read_graph(path, Constant()).num_nodes == 2
    (tmp_path / "mine.features.csv").write_text(FEATURES)
    (tmp_path / "mine.features.tsv").write_text(FEATURES)
    with pytest.raises(ValueError, match=r"mine.features.csv and mine.features.tsv both stand beside"):
        read_graph(path)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin1")),
    suffix=st.sampled_from(["edges", "graphml"]),
)
def test_any_text_is_a_graph_or_one_clear_error(text, suffix, tmp_path):
    path = tmp_path / f"mine.{suffix}"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        graph = read_graph(path, Constant())
    except ValueError:
        return
    assert graph.num_edges > 0


def karate_like(directed=False):
    graph = networkx.DiGraph() if directed else networkx.Graph()
    for name, club, age in (("ann", "left", 30), ("bob", "left", 41.5), ("cyd", "right", 22), ("dan", "right", 5)):
        graph.add_node(name, club=club, age=age, member=True)
    graph.add_weighted_edges_from([("ann", "bob", 2), ("bob", "cyd", 1), ("cyd", "cyd", 9)])
    return graph


@pytest.mark.parametrize("through_file", [False, True])
def test_networkx_and_graphml(through_file, tmp_path):
    source = karate_like()
    if through_file:
        networkx.write_graphml(source, tmp_path / "mine.graphml", infer_numeric_types=True)
        source = str(tmp_path / "mine.graphml")
    graph = read_graph(source, label="club")
    assert graph.node_names == ("ann", "bob", "cyd", "dan")
    assert graph.feature_names == ("age", "member")
    assert graph.x.tolist() == [[30, 1], [41.5, 1], [22, 1], [5, 1]]
    assert graph.y.tolist() == [0, 0, 1, 1]
    assert graph.class_names == ("left", "right")
    assert pairs(graph) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert graph.edge_weight.tolist() == [2, 2, 1, 1]
    assert read_graph(source).y is None


def test_a_directed_networkx_graph_stays_directed():
    graph = read_graph(karate_like(directed=True))
    assert pairs(graph) == [(0, 1), (1, 2)]
    assert graph.edge_weight.tolist() == [2, 1]


def test_networkx_attribute_rules():
    graph = networkx.path_graph(3)
    for node in graph:
        graph.nodes[node].update(x=[node, 1.0], y=node % 2, size=node)
    data = read_graph(graph)
    assert data.x.tolist() == [[0, 1], [1, 1], [2, 1]]
    assert data.y.tolist() == [0, 1, 0]
    for node in graph:  # a layout: y is a coordinate there, no class
        graph.nodes[node].update(x=float(node), y=node / 2)
    data = read_graph(graph)
    assert data.feature_names == ("size", "x", "y")
    assert data.y is None
    assert not is_undirected(read_graph(networkx.DiGraph([(0, 1)]), Constant()).edge_index)
    for node in graph:  # classes twice: the second must not become a feature that gives the first away
        graph.nodes[node].update(y=node % 2, label=node % 2)
    assert read_graph(graph).feature_names == ("size", "x")
    networkx.set_node_attributes(graph, {node: float(node % 2) for node in graph}, "label")
    assert read_graph(graph).feature_names == ("size", "x")
    for node in graph:
        del graph.nodes[node]["y"]
    found = read_graph(graph)
    assert (found.y.tolist(), repr(found.class_names)) == ([0, 1, 0], "(0, 1)")
    networkx.set_node_attributes(graph, {node: node == 1 for node in graph}, "label")
    found = read_graph(graph)
    assert found.y.tolist() == [0, 1, 0]
    assert [type(name) for name in found.class_names] == [bool, bool]
    networkx.set_node_attributes(graph, {0: "b", 1: 10, 2: "b"}, "label")
    assert read_graph(graph).class_names == (10, "b")


def broken(**changes):
    graph = networkx.path_graph(3)
    networkx.set_node_attributes(graph, {0: 1.0, 1: 2.0, 2: 3.0}, "size")
    for node, attributes in changes.items():
        graph.nodes[int(node[1])].update(attributes)
    return graph


@pytest.mark.parametrize(
    ("graph", "label", "says"),
    [
        (networkx.MultiGraph([(0, 1), (0, 1)]), None, "parallel edges"),
        (networkx.Graph(), None, "is empty: it has no nodes"),
        (networkx.path_graph(3), None, "no node features x"),
        (broken(n1={"weight": 3}), None, "2 of 3 nodes of the graph lack 'weight' \\(first: node number 0\\)"),
        (broken(), "club", "no node attribute named 'club'"),
        (broken(n0={"size": 1.5}), "size", "'size' of the graph must hold whole numbers or text"),
        (broken(n0={"club": "a"}), "club", "2 of 3 nodes of the graph lack 'club'"),
        (broken(n0={"x": [1, 2]}, n1={"x": [1]}, n2={"x": [1]}), None, "'x' of the graph must hold equally long"),
        (broken(n0={"size": float("nan")}), None, "x holds NaN"),
        (broken(n2={"size": "n/a"}), None, "'size' of the graph is a number at some nodes and 'n/a' at node number 2"),
        (broken(n1={"size": None}), None, "'size' of the graph is a number at some nodes and None at node number 1"),
        (networkx.Graph([(0, 1, {"weight": 1}), (1, 2)]), None, "a weight to 1 of 2 edges"),
        (networkx.Graph([(0, 1, {"weight": "heavy"})]), None, "edge weights of the graph must be numbers"),
    ],
)
def test_networkx_graphs_that_do_not_fit(graph, label, says):
    with pytest.raises(ValueError, match=says):
        read_graph(graph, label=label)


NAMESPACE = 'xmlns="http://graphml.graphdrawing.org/xmlns"'
BILLION = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><graphml>&b;</graphml>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BILLION, "was refused: it declares a document type"),
        ('<!DOCTYPE g SYSTEM "file:///etc/passwd"><graphml/>', "was refused: it declares a document type"),
        ('<!DOCTYPE g [<!ENTITY e SYSTEM "file:///etc/passwd">]><graphml>&e;</graphml>', "was refused"),
        ("<a>" * 100_000, "nested deeper than 64"),
        ("<a>" + "<b/>" * 100 + "<a>" * 64, "nested deeper than 64"),
        ("<graphml>", "no whole XML file"),
        ("", "no whole XML file"),
        ("no xml", "no whole XML file"),
        ("<graphml/>", "no GraphML that networkx can read"),
        (f"<graphml {NAMESPACE}>" + '<graph><node id="a"/></graph>' * 3 + "</graphml>", "holds 3 graphs, side by side"),
        ('<g:graphml xmlns:g="http://graphml.graphdrawing.org/xmlns"><g:graph><g:node id="a"><g:graph/></g:node>'
         "</g:graph></g:graphml>", "holds 2 graphs, side by side or nested, and one is read; write each to a file"),
        (f"<graphml {NAMESPACE}><graph/></graphml>", "is empty: it has no nodes"),
        (f'<graphml {NAMESPACE}><graph><node id="a"><data key="k">1</data></node></graph></graphml>', "no key k"),
        (f"<graphml {NAMESPACE}><graph><hyperedge/></graph></graphml>", "no GraphML that networkx can read"),
        (f'<graphml {NAMESPACE}><key id="k" for="node" attr.name="n" attr.type="int"/><graph><node id="a">'
         '<data key="k">x</data></node></graph></graphml>', "no GraphML that networkx can read"),
    ],
)  # fmt: skip
@pytest.mark.attack("GraphML")
def test_malformed_and_hostile_graphml(text, says, tmp_path):
    (tmp_path / "mine.graphml").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_graph(tmp_path / "mine.graphml")


def test_graphs_of_other_kinds():
    karate = load("karate")
    assert read_graph(karate) is karate
    with pytest.raises(ValueError, match="the graph is empty"):
        read_graph(Data(x=torch.ones(2, 1), edge_index=torch.zeros(2, 0).long()))
    with pytest.raises(TypeError, match="source must be a path, a networkx graph or a PyG Data, not list"):
        read_graph([(0, 1)])


def test_a_label_is_for_named_attributes_only(tmp_path):
    with pytest.raises(ValueError, match="label= names a node attribute of GraphML"):
        read_graph(write(tmp_path), label="club")


def test_names_in_quotes_may_hold_spaces_and_hashes(tmp_path):
    (tmp_path / "t.edges").write_text('"new york" boston\nboston "#a"\n')
    (tmp_path / "t.features.csv").write_text('"new york",1\nboston,2\n"#a",3\n')
    (tmp_path / "t.labels.csv").write_text('"new york",0\nboston,1\n"#a",0\n')
    graph = read_graph(tmp_path / "t.edges")
    assert graph.node_names == ("new york", "boston", "#a")
    assert graph.num_edges == 4


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_what_a_file_cannot_hold_is_named_and_what_shares_memory_is_saved(suffix, tmp_path):
    graph = read_graph(networkx.karate_club_graph(), Constant(), label="club")
    graph.train_mask = graph.val_mask = torch.ones(34, dtype=torch.bool)
    save_graph(graph, tmp_path / f"a{suffix}")
    assert read_graph(tmp_path / f"a{suffix}").val_mask.all()
    graph.extra = torch.eye(3).to_sparse_csr()
    with pytest.raises(ValueError, match="extra is sparse"):
        save_graph(graph, tmp_path / f"b{suffix}")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_features_and_classes_of_any_width_are_read_as_methods_want_them(dtype, tmp_path):
    graph = read_graph(networkx.karate_club_graph(), Constant(), label="club")
    graph.x, graph.y = graph.x.to(dtype), graph.y.int()
    save_graph(graph, tmp_path / "a.npz")
    again = read_graph(tmp_path / "a.npz")
    assert (again.x.dtype, again.y.dtype) == (torch.float32, torch.int64)


def test_defaults_of_a_graphml_file_count(tmp_path):
    keys = (
        '<key id="w" for="edge" attr.name="weight" attr.type="double"><default>2.5</default></key>'
        '<key id="a" for="node" attr.name="age" attr.type="double"><default>7</default></key>'
    )
    nodes = '<node id="0"/><node id="1"><data key="a">3</data></node><node id="2"/>'
    edges = '<edge source="0" target="1"/><edge source="1" target="2"><data key="w">1</data></edge>'
    head = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    path = tmp_path / "a.graphml"
    path.write_text(f'{head}{keys}<graph edgedefault="undirected">{nodes}{edges}</graph></graphml>')
    graph = read_graph(path)
    assert graph.x.flatten().tolist() == [7, 3, 7]
    weights = dict(zip(map(tuple, graph.edge_index.T.tolist()), graph.edge_weight.tolist(), strict=True))
    assert weights == {(0, 1): 2.5, (1, 0): 2.5, (1, 2): 1.0, (2, 1): 1.0}


R_TABLE = '"source" "target"\n"1" 5 6\n"2" 6 7\n"3" 7 5\n'
PANDAS = "\tsource\ttarget\n0\t5\t6\n1\t6\t7\n2\t7\t5\n"


@pytest.mark.parametrize(
    ("name", "edges", "says"),
    [
        ("a.txt", R_TABLE, "line 2 of a.txt has 3 columns, and its first line names 2"),
        ("a.tsv", PANDAS, "line 1 of a.tsv has an empty cell"),
        ("a.csv", "from,to\nto,be\nbe,from\n", "may be an edge or the columns' names"),
    ],
)
def test_a_column_of_row_numbers_is_not_taken_for_nodes(name, edges, says, tmp_path):
    (tmp_path / name).write_text(edges)
    with pytest.raises(ValueError, match=re.escape(says)):
        read_graph(tmp_path / name, transform=Constant())


@pytest.mark.parametrize("first", ["person,0,1,2", "user,2017,2018,2019"])
def test_a_line_that_names_features_is_not_a_node(first, tmp_path):
    (tmp_path / "a.csv").write_text("10,11\n11,12\n")
    (tmp_path / "a.features.csv").write_text(f"{first}\n10,1,2,3\n11,1,2,3\n12,4,5,6\n")
    with pytest.raises(ValueError, match="seems to name its columns"):
        read_graph(tmp_path / "a.csv")


def test_labels_with_leading_zeros_are_other_labels(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n")
    (tmp_path / "a.labels.csv").write_text("a,01\nb,1\n")
    assert read_graph(tmp_path / "a.csv", transform=Constant()).class_names == ("01", "1")
