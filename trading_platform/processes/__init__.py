"""Start, watch and end processes of this machine: workers, services, priorities, memory.

Which processes a platform consists of is ingest/workers/ and commands/support/stack.py.
"""
