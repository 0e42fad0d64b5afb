"""Write every received frame durably into the log, over connections that are kept alive and replaced.

Nothing is decoded here beyond what a session needs; that is decoder/ and processor/.
"""
