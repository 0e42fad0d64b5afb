"""The segment log: raw frames, durable and checksummed, one writer a lane; sealing and reading them again.

What a frame means is ingest/decoder/; when segments may be deleted is decided with the lake's leaves.
"""
