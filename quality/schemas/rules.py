"""What all gates share: `Rule` (a name and a polars expression) and `RuleSet` (a dataset's columns and rules).

The rules of one dataset are in its own file beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import polars as pl
import pyarrow as pa

from trading_platform.domain.days import DAY_NS
from trading_platform.domain.verdict import Failure, Verdict

if TYPE_CHECKING:
    import pandera.polars as pandera


class Rule(NamedTuple):
    """A condition that every row must satisfy; null counts as false. Dagster shows it under `check`."""

    name: str
    holds: pl.Expr
    check: str = "values"


class RuleSet:
    """One dataset's columns and rules, as a pandera schema and as a gate.

    Parameters
    ----------
    name : the dataset.
    shape : its columns and types, in order. Columns of the frame beyond them must be float64, if `open_ended`.
    rules : conditions on the columns of `shape`.
    column_rules : makes the rules for columns beyond `shape`.

    Examples
    --------
    >>> shape = pa.schema([("price", pa.float64())])
    >>> prices = RuleSet("prices", shape, [Rule("price is positive", pl.col("price") > 0)])
    >>> prices.gate(pa.table({"price": [1.0, 2.0]})).passed
    True
    >>> prices.gate(pa.table({"price": [1.0, -2.0]})).failures
    (Failure(check='price is positive', rows=1, example='row 1: price=-2.0'),)
    """

    def __init__(
        self,
        name: str,
        shape: pa.Schema,
        rules: Sequence[Rule],
        *,
        column_rules: Callable[[Sequence[str]], list[Rule]] | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.rules = tuple(rules)
        self._column_rules = column_rules
        self.schema = cache(self._schema)
        self._answers = cache(self._ask)

    def gate(self, table: pa.Table) -> Verdict:
        """Return whether the frame may be published."""
        extra = self._extra(table)
        shape = self._shape(extra)
        frame = cast("pl.DataFrame", pl.from_arrow(table))
        # pandera takes 4 ms a leaf, all rules in one expression 0.1 ms, and a year has thousands of leaves.
        # So pandera only sees frames that break a rule; test_fast_path compares both ways.
        if table.schema.equals(shape) and self._spotless(frame, extra):
            return Verdict()
        return _verdict(self.schema(extra), frame)

    def check_of(self, rule: str) -> str | None:
        """Return the named check that a rule belongs to; None for what is no rule: columns and their types."""
        column = rule.partition(" ")[0]
        known = {each.name: each.check for each in self._rules([column])}
        return known.get(rule)

    @property
    def checks(self) -> frozenset[str]:
        """The named checks of all rules."""
        return frozenset(rule.check for rule in self._rules(["any"]))

    def _extra(self, table: pa.Table) -> tuple[str, ...]:
        return tuple(table.schema.names[len(self.shape) :]) if self._column_rules is not None else ()

    def _spotless(self, frame: pl.DataFrame, extra: tuple[str, ...]) -> bool:
        try:
            return all(frame.select(self._answers(extra)).row(0))
        except pl.exceptions.PolarsError:
            return False  # a rule that raises has failed; pandera says which

    def _ask(self, extra: tuple[str, ...]) -> list[pl.Expr]:
        rules = self._rules(extra)
        return [rule.holds.fill_null(value=False).all().alias(str(i)) for i, rule in enumerate(rules)]

    def _rules(self, extra: Sequence[str]) -> list[Rule]:
        return [*self.rules, *(self._column_rules(extra) if self._column_rules is not None else ())]

    def _shape(self, extra: Sequence[str]) -> pa.Schema:
        return pa.schema([*self.shape, *((name, pa.float64()) for name in extra)])

    def _schema(self, extra: tuple[str, ...] = ()) -> pandera.DataFrameSchema:
        import pandera.polars as pandera

        types = cast("pl.DataFrame", pl.from_arrow(self._shape(extra).empty_table())).schema
        return pandera.DataFrameSchema(
            {name: pandera.Column(kind, nullable=True) for name, kind in types.items()},
            checks=[_check(rule) for rule in self._rules(extra)],
            strict=True,
            ordered=True,
            name=self.name,
        )


def _check(rule: Rule) -> pandera.Check:
    import pandera.polars as pandera

    def holds(data: Any) -> Any:
        return data.lazyframe.select(rule.holds)

    return pandera.Check(holds, name=rule.name, error=rule.name, ignore_na=False, n_failure_cases=1)


def _verdict(schema: pandera.DataFrameSchema, frame: pl.DataFrame) -> Verdict:
    from pandera.errors import SchemaErrors

    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        return Verdict(tuple(_failures(errors, frame)))
    return Verdict()


def _failures(errors: Any, frame: pl.DataFrame) -> Iterator[Failure]:
    for error in errors.schema_errors:
        broken = error.check_output
        if isinstance(broken, pl.DataFrame) and broken.height == frame.height:
            rows = (~broken.to_series()).arg_true()
            yield Failure(str(error.check.name), len(rows), _example(frame, rows[0]))
        else:
            # A rule about the frame as a whole, or one that raised, has a name; what pandera itself checks has none.
            name = getattr(error.check, "name", None) or "columns"
            yield Failure(str(name), frame.height, " ".join(str(error).split())[:200])


def _example(frame: pl.DataFrame, row: int) -> str:
    values = " ".join(f"{name}={value}" for name, value in frame.row(row, named=True).items() if value is not None)
    return f"row {row}: {values}"[:400]


def rises(*columns: str) -> pl.Expr:
    """Tell whether each row comes strictly after the previous one, ordered by `columns`."""
    later: pl.Expr = pl.lit(value=False)
    for name in reversed(columns):
        column, before = pl.col(name), pl.col(name).shift(1)
        later = (column > before) | ((column == before) & later)
    return (pl.int_range(pl.len()) == 0) | later


def ns(name: str) -> pl.Expr:
    """Return a time column as integer nanoseconds."""
    return pl.col(name).cast(pl.Int64)


def one_day(name: str, check: str) -> Rule:
    """All times lie on one UTC day."""
    return Rule(f"{name} lies on one UTC day", ns(name) // DAY_NS == ns(name).first() // DAY_NS, check)


def grid() -> list[Rule]:
    """Rows are intervals of one width on the UTC grid of one day, in order."""
    width = ns("ts_close") - ns("ts_open")
    return [
        Rule("ts_open rises", rises("ts_open"), "intervals"),
        Rule("intervals have one width", (width > 0) & (width == width.first()), "intervals"),
        Rule("intervals lie on the UTC grid", ns("ts_open") % width == 0, "intervals"),
        one_day("ts_open", "intervals"),
    ]
