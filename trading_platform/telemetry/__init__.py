"""How the platform tells what it does: logs (events), metrics (numbers), progress (for a person at a terminal).

Nothing here decides anything. `domain`, `venues` and `analytics` never import it: they return facts, others tell them.
"""
