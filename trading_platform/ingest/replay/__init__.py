"""Rebuild lake and ledger from the log, shared among processes.

Decoding is decoder/, writing leaves store/lake/.
"""
