"""Data quality: rules that a dataset must satisfy before it is published, and the Dagster checks that report on them.

schemas/ holds the gates (rule sets, without Dagster) that every symbol-day must pass, checks.py declares their Dagster
checks; verification.py looks at what is stored, stored_checks.py declares its checks; expectations/ judges a day by the
days before it; report/ is the page that a person reads. This module imports none of them: import the one you need by
name.
"""
