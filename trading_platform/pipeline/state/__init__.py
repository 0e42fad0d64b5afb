"""What computed days keep for the next: end states and fitted models.

Carrying them on is pipeline/symbol_day.py.
"""
