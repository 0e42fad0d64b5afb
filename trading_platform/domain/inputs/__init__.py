"""Read what people write: durations, instants, hosts, the path of a data directory; keep credentials out of texts.

Which settings and arguments there are is settings.py and commands/.
"""
