"""Receive a venue's WebSocket messages: the default client, the fast one, and what both share.

What is done with a message is recorder/; whether silence means a dead connection is liveness/.
"""
