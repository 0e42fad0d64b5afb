"""Data quality: rules that a dataset must satisfy before it is published, and the Dagster checks that report on them.

schemas/ holds the gates (rule sets, without Dagster) that every symbol-day must pass; checks.py declares the Dagster
checks. This module imports neither: import the one you need by name.
"""
