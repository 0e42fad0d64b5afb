"""Tell which files of the lake a statement can need, from its conditions on venue, symbol, date and the like.

DuckDB lists every file of a view before it looks at a condition; with 50,000 leaves that alone takes seconds. Here the
conditions are read first, and only folders that may match are listed. The rule is: when unsure, keep. A condition
counts only where it stands in the WHERE of the very SELECT that names the view, and only if no row of another file
could change the answer; what such a condition says of a key is asked of DuckDB itself. The statement is never changed.

What is done with the files is views.py.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_platform.domain.datasets import DATASETS
from trading_platform.store.lake import hive_tree as folders

if TYPE_CHECKING:
    import duckdb

Node = dict[str, Any]
Known = Mapping[str, str | None]
"""Values of a folder's keys, those that are known of it."""
MOST_FILES = 5000
"""A longer list is no quicker than DuckDB's own."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_JOINS = {"INNER", "LEFT", "RIGHT", "OUTER"}
_ATOMS = {"COLUMN_REF", "CONSTANT", "CAST", "COMPARISON", "BETWEEN", "OPERATOR", "FUNCTION", "CONJUNCTION"}
_CALENDAR = """+ - century date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname
    dayofmonth dayofweek dayofyear decade era hour isodow isoyear julian last_day make_timestamptz microsecond
    millennium millisecond minute month monthname quarter second strftime time_bucket timezone week weekday weekofyear
    year yearweek""".split()
"""Functions that DuckDB calls steady within a query only because of the time zone, which is UTC here."""
_FLIPPED = {
    "COMPARE_EQUAL": "COMPARE_EQUAL",
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
    "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
}


class Truth(NamedTuple):
    """Whether a condition can be true, and can be false, for any row of a file; null is neither."""

    true: bool
    false: bool


_ANY = Truth(true=True, false=True)


class ViewSource(NamedTuple):
    """What a view reads: its folders' keys, and the columns of time that lie within the folder's date."""

    name: str
    root: Path
    keys: tuple[str, ...]
    times: tuple[str, ...]


def dicts(value: object) -> Iterator[Node]:
    """Yield every object of a serialised statement."""
    stack = [value]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            yield top
            stack.extend(top.values())
        elif isinstance(top, list):
            stack.extend(top)


def tables(tree: Node) -> set[str]:
    """Return the names of the tables and views that a statement reads, in small letters."""
    return {_name(node) for node in dicts(tree) if node.get("type") == "BASE_TABLE"}


def schemas(tree: Node) -> set[str]:
    """Return the schemas that a statement names before its tables, in small letters."""
    paths = [node.get("qualified_name", {}).get("path", ()) for node in dicts(tree) if node.get("type") == "BASE_TABLE"]
    return {str(path[-2]).lower() for path in paths if len(path) > 1}


def takes_rows(tree: Node) -> bool:
    """Tell whether a statement may take all columns of a table, by a star or by the table's name."""
    tables = {_alias(node) for node in dicts(tree) if node.get("type") == "BASE_TABLE"}
    return any(
        node.get("class") == "STAR" or (node.get("class") == "COLUMN_REF" and _last(node) in tables)
        for node in dicts(tree)
    )


def _last(column: Node) -> str:
    return str(column["column_names"][-1]).lower()


def files(db: duckdb.DuckDBPyConnection, tree: Node, dataset: ViewSource) -> list[Path] | None:
    """Return the files that a statement can need of a view, None if it may be any.

    Parameters
    ----------
    tree : the statement, as `json_serialize_sql` gives it.
    """
    conditions = _conditions(tree, dataset)
    if not conditions or None in conditions:
        return None
    asked = _Asked(db, dataset, [condition for condition in conditions if condition is not None])
    if asked.may_match_nothing():
        return None
    found: list[tuple[str, ...]] = [()]
    for depth, key in enumerate(dataset.keys):
        if len(found) > MOST_FILES:
            return None
        places = [dataset.root.joinpath(*map("{}={}".format, dataset.keys, values)) for values in found]
        below = [(*values, each) for values, place in zip(found, places, strict=True) for each in _values(place, key)]
        asked.learn(key, {values[-1] for values in below})
        found = [
            values for values in below if asked.may_match(dict(zip(dataset.keys[: depth + 1], values, strict=False)))
        ]
    paths = [
        dataset.root.joinpath(*map("{}={}".format, dataset.keys, values), f"{dataset.name}.parquet") for values in found
    ]
    return None if len(paths) > MOST_FILES else [path for path in paths if path.is_file()]


def _values(place: Path, key: str) -> list[str]:
    start = f"{key}="
    return sorted(name.removeprefix(start) for name in folders.entries(place) if name.startswith(start))


def _conditions(tree: Node, dataset: ViewSource) -> list[_Condition | None]:
    """Return for each place that names the view what its rows must fulfil, None where that is not certain."""
    found: dict[int, _Condition] = {}
    for node in dicts(tree):
        if node.get("type") == "SELECT_NODE":
            for table, names in _alone(node) or _joined(node):
                outer = any(join.get("join_type") != "INNER" for join in _joins(node["from_table"]))
                found[id(table)] = _Condition(node["where_clause"], names, outer)
    places = [node for node in dicts(tree) if node.get("type") == "BASE_TABLE" and _name(node) == dataset.name]
    return [found.get(id(place)) for place in places]


def _name(table: Node) -> str:
    path = table.get("qualified_name", {}).get("path") or [table.get("table_name", "")]
    return str(path[-1]).lower()


class _Condition(NamedTuple):
    """A WHERE, and how a column of the table is written in it: by these names before it, or by none (``""``).

    `outer`: whether a row may stand there that pairs with none of the table.
    """

    where: Node
    names: frozenset[str]
    outer: bool

    def column(self, expression: Node) -> str | None:
        """Return the table's column that the expression is, None if it is another's or may be."""
        path = [str(part).lower() for part in expression.get("column_names", ())]
        before = ".".join(path[:-1])
        return path[-1] if path and before in self.names else None


def _alone(node: Node) -> list[tuple[Node, frozenset[str]]]:
    table = node["from_table"]
    if not _is_plain(node) or not _is_plain_table(table):
        return []
    return [(table, frozenset({"", _alias(table)}))]


def _joined(node: Node) -> list[tuple[Node, frozenset[str]]]:
    """Return the tables of a join whose rows only count where the WHERE holds for them.

    Only names with a table before them: others may be the other table's.
    """
    if not _is_plain(node) or node["from_table"].get("type") != "JOIN":
        return []
    sides = _sides(node["from_table"])
    if sides is None:
        return []
    aliases = [_alias(side) for side in sides]
    return [
        (side, frozenset({_alias(side)}))
        for side in sides
        if _is_plain_table(side) and _alias(side) and aliases.count(_alias(side)) == 1
    ]


def _sides(table: Node) -> list[Node] | None:
    """Return what is joined, None if one side's rows decide which of the other's are taken."""
    if table.get("type") != "JOIN":
        return [table]
    if table.get("ref_type") not in {"REGULAR", "CROSS"} or table.get("join_type") not in _JOINS:
        return None
    if table.get("ranking_expression") or table.get("sample"):
        return None
    left, right = _sides(table["left"]), _sides(table["right"])
    return None if left is None or right is None else left + right


def _joins(table: Node) -> Iterator[Node]:
    if table.get("type") == "JOIN":
        yield table
        yield from _joins(table["left"])
        yield from _joins(table["right"])


def _alias(table: Node) -> str:
    return str(table.get("alias") or (_name(table) if table.get("type") == "BASE_TABLE" else "")).lower()


def _is_plain(node: Node) -> bool:
    """Tell whether the WHERE is all that stands between the tables and the rest of the SELECT."""
    if not node.get("where_clause") or node.get("sample"):
        return False
    # A name that is given here may be the one that the WHERE means.
    return not any(
        item.get("alias") and item.get("class") != "COLUMN_REF" and item["alias"].lower() in _KEYS
        for item in node["select_list"]
    ) and not any(item.get("class") == "COLUMN_REF" and _renames(item) for item in node["select_list"])


_KEYS = {name for dataset in DATASETS.values() for name in (*dataset.keys, *dataset.times)}


def _renames(item: Node) -> bool:
    alias = str(item.get("alias") or "").lower()
    return alias in _KEYS and alias != str(item["column_names"][-1]).lower()


def _is_plain_table(table: Node) -> bool:
    return (
        table.get("type") == "BASE_TABLE"
        and not table.get("sample")
        and not table.get("column_name_alias")
        and not table.get("at_clause")
        and _alias(table) not in _KEYS
    )


class _Asked:
    """What DuckDB says of the conditions for each value of a key."""

    def __init__(self, db: duckdb.DuckDBPyConnection, dataset: ViewSource, conditions: Sequence[_Condition]) -> None:
        self._db, self._dataset = db, dataset
        self._plans = [self._plan(condition, condition.where) for condition in conditions]
        self._outer = [plan for plan, each in zip(self._plans, conditions, strict=True) if each.outer]

    def learn(self, key: str, values: set[str]) -> None:
        """Ask what the conditions on a key say of these values."""
        for plan in self._plans:
            for atom in plan.atoms():
                if atom.key == key:
                    atom.truths = self._ask(atom, sorted(values))

    def may_match_nothing(self) -> bool:
        """Tell whether a row of an outer join that pairs with none can be wanted: then others decide that it does."""
        for plan in self._outer:
            for atom in plan.atoms():
                atom.truths = self._ask(atom, [None])
        nothing = dict.fromkeys(self._dataset.keys)
        return any(plan.truth(nothing).true for plan in self._outer)

    def may_match(self, known: Known) -> bool:
        """Tell whether a row of a folder with these keys can be wanted anywhere in the statement."""
        return any(plan.truth(known).true for plan in self._plans)

    def _plan(self, condition: _Condition, expression: Node) -> _Plan:
        kind, of = expression.get("class"), expression.get("type")
        if kind == "CONJUNCTION" and of in {"CONJUNCTION_AND", "CONJUNCTION_OR"}:
            return _Joint(of == "CONJUNCTION_AND", [self._plan(condition, each) for each in expression["children"]])
        if kind == "OPERATOR" and of == "OPERATOR_NOT" and len(expression["children"]) == 1:
            return _Not(self._plan(condition, expression["children"][0]))
        columns = [node for node in dicts(expression) if node.get("class") == "COLUMN_REF"]
        names = {condition.column(node) for node in columns}
        if len(names) == 1 and self._is_known(expression):
            (name,) = names
            if name in self._dataset.keys:
                return _Atom(str(name), [_with_column(expression, "v")])
            if name in self._dataset.times:
                return self._of_time(expression, str(name))
        return _Unknown()

    def _is_known(self, expression: Node) -> bool:
        """Tell whether an expression means the same for every row and at every time, and has no rows of its own."""
        inner = [node for node in dicts(expression) if "class" in node]
        if not all(node["class"] in _ATOMS or node["class"] == "TYPE" for node in inner):
            return False
        names = {str(node["function_name"]).lower() for node in inner if node["class"] == "FUNCTION"}
        return not names or self._are_steady(names)

    def _are_steady(self, names: set[str]) -> bool:
        query = """SELECT function_name, bool_and(function_type = 'scalar' AND
            (stability = 'CONSISTENT' OR list_contains(?, function_name)))
            FROM duckdb_functions() WHERE list_contains(?, function_name) GROUP BY ALL"""
        told = dict(self._db.execute(query, [_CALENDAR, sorted(names)]).fetchall())
        return all(told.get(name) is True for name in names)

    def _of_time(self, expression: Node, name: str) -> _Plan:
        """Plan a comparison of a time with a constant: it need only be asked at the ends of a day."""
        kind = expression.get("class")
        if kind == "BETWEEN" and expression.get("type") == "COMPARE_BETWEEN":
            bounds = (("COMPARE_GREATERTHANOREQUALTO", "lower"), ("COMPARE_LESSTHANOREQUALTO", "upper"))
            parts = [_compare(op, expression["input"], expression[end]) for op, end in bounds]
            return _Joint(True, [self._of_time(part, name) for part in parts])
        op = expression.get("type")
        if kind != "COMPARISON" or op not in _FLIPPED:
            return _Unknown()
        left, right = expression["left"], expression["right"]
        if left.get("class") != "COLUMN_REF":
            left, right, op = right, left, _FLIPPED[op]
        if left.get("class") != "COLUMN_REF" or any(node.get("class") == "COLUMN_REF" for node in dicts(right)):
            return _Unknown()
        low, high = (_column(f"{end}_ns" if name.endswith("_ns") else end) for end in ("low", "high"))
        if op == "COMPARE_EQUAL":
            asked = [
                _compare("COMPARE_LESSTHANOREQUALTO", low, right),
                _compare("COMPARE_GREATERTHANOREQUALTO", high, right),
            ]
            return _Atom("date", asked, _if_both)
        rising = op in {"COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO"}
        ends = (high, low) if rising else (low, high)
        return _Atom("date", [_compare(op, end, right) for end in ends], _if_either)

    def _ask(self, atom: _Atom, values: Sequence[str | None]) -> dict[str | None, Truth]:
        """Return what an atom says of each value; of none where DuckDB finds it wrong."""
        import duckdb

        if atom.key == "date" and not all(value is None or _DAY.fullmatch(value) for value in values):
            return {}
        try:
            text = _written(self._db, atom.asked)
            rows = self._db.execute(
                f"WITH _keys AS ({_KEY_ROWS[atom.key == 'date']}) {text}", [list(values)]
            ).fetchall()
        except duckdb.Error:
            return {}
        return {value: atom.judge(*told) for value, *told in rows}


_KEY_ROWS = {
    False: "SELECT k, k AS v FROM (SELECT unnest(?::VARCHAR[]) AS k)",
    True: "SELECT k, k::DATE AS v, (k::TIMESTAMP) AT TIME ZONE 'UTC' AS low, low + INTERVAL 1 DAY AS high,"
    " epoch_ns(k::TIMESTAMP) AS low_ns, low_ns + 86_400_000_000_000 AS high_ns FROM (SELECT unnest(?::VARCHAR[]) AS k)",
}


def _written(db: duckdb.DuckDBPyConnection, asked: Sequence[Node]) -> str:
    """Return ``SELECT k, <asked>, … FROM _keys`` as text, put together from parsed expressions."""
    ((text,),) = db.execute("SELECT json_serialize_sql('SELECT k FROM _keys')").fetchall()
    statement = json.loads(text)
    statement["statements"][0]["node"]["select_list"] += [{**each, "alias": ""} for each in asked]
    ((written,),) = db.execute("SELECT json_deserialize_sql(?)", [json.dumps(statement)]).fetchall()
    return str(written)


def _column(name: str) -> Node:
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": [name]}


def _compare(op: str, left: Node, right: Node) -> Node:
    return {"class": "COMPARISON", "type": op, "alias": "", "query_location": 0, "left": left, "right": right}


def _with_column(expression: Any, name: str) -> Any:
    """Return the expression with another name for its column."""
    if isinstance(expression, list):
        return [_with_column(each, name) for each in expression]
    if not isinstance(expression, dict):
        return expression
    if expression.get("class") == "COLUMN_REF":
        return {**expression, "column_names": [name]}
    return {key: _with_column(value, name) for key, value in expression.items()}


def _exactly(told: bool | None) -> Truth:
    return Truth(told is True, told is False)


def _if_either(true_end: bool | None, false_end: bool | None) -> Truth:
    return _ANY if true_end is None or false_end is None else Truth(true_end, not false_end)


def _if_both(low: bool | None, high: bool | None) -> Truth:
    return _ANY if low is None or high is None else Truth(low and high, false=True)


class _Plan(ABC):
    """A condition, or a part of one."""

    @abstractmethod
    def truth(self, known: Known) -> Truth:
        """Return what it can be for rows of a folder with these keys."""

    def atoms(self) -> Iterator[_Atom]:
        """Yield the parts that are asked of DuckDB."""
        yield from ()


class _Unknown(_Plan):
    def truth(self, known: Known) -> Truth:  # noqa: ARG002
        return _ANY


class _Atom(_Plan):
    """A part that one key alone decides."""

    def __init__(self, key: str, asked: Sequence[Node], judge: Callable[..., Truth] = _exactly) -> None:
        self.key, self.asked, self.judge = key, asked, judge
        self.truths: dict[str | None, Truth] = {}

    def truth(self, known: Known) -> Truth:
        return self.truths.get(known[self.key], _ANY) if self.key in known else _ANY

    def atoms(self) -> Iterator[_Atom]:
        yield self


class _Not(_Plan):
    def __init__(self, inner: _Plan) -> None:
        self._inner = inner

    def truth(self, known: Known) -> Truth:
        true, false = self._inner.truth(known)
        return Truth(false, true)

    def atoms(self) -> Iterator[_Atom]:
        yield from self._inner.atoms()


class _Joint(_Plan):
    """Parts joined by AND, or by OR."""

    def __init__(self, every: bool, parts: Sequence[_Plan]) -> None:
        self._every, self._parts = every, parts

    def truth(self, known: Known) -> Truth:
        told = [part.truth(known) for part in self._parts]
        if self._every:
            return Truth(all(each.true for each in told), any(each.false for each in told))
        return Truth(any(each.true for each in told), all(each.false for each in told))

    def atoms(self) -> Iterator[_Atom]:
        for part in self._parts:
            yield from part.atoms()
