"""The warehouse: marts that dbt builds over the lake, in one DuckDB file that is replaced by rename.

building     the copy that a build writes to, its views over the lake, its publication
dbt_plugin   what dbt-duckdb calls

The models themselves are SQL, in dbt/; what Dagster shows of them is assets/warehouse.py.
"""
