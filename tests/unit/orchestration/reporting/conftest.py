"""Fixtures of these tests: a Dagster instance in memory, a made-up market, and the pipeline over it."""

from tests.support.builders.dagster_instance import instance, market, pipeline  # noqa: F401
