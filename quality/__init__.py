"""Judge data, and say what was found. Imports nothing: a part of it is asked for by its own name.

schemas/ holds the gates every symbol-day passes before it is published; they run without Dagster.
What Dagster shows of their verdicts is checks.py.
"""
