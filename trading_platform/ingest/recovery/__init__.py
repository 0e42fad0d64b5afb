"""Fetch what is missing over REST into a fetch lane: gaps, heads, whole days, instrument lists.

What is missing is completeness/; decoding what was fetched is decoder/.
"""
