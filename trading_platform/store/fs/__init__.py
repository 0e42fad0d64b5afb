"""The disk as the platform sees it: durable writes, locks, and where each file lies. No formats.

The log's files are store/log/, published files store/lake/.
"""
