"""Start and watch the processes of an ingest, and carry messages between them.

What a worker does is recorder/ and processor/; their entry points are commands/workers/.
"""
