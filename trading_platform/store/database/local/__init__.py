"""A TimescaleDB of this machine, one per data directory: in Docker, from the system's packages, or from Debian's.

server    up, down, status                     cluster   PostgreSQL's own programs
docker    the official image                   debian    packages unpacked beside the system, not installed into it
"""
