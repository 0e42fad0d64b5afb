"""A venue on this machine: real protocol, recorded or synthetic trades, faults on purpose, the truth in a file.

Knows nothing of how we record; tests and demonstrations judge us against what it says it sent.
"""
