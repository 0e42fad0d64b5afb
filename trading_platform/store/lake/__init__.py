"""Published files, one a leaf, replaced atomically: staging, merging, publishing, schemas, reading by SQL.

Which leaves are computed, and from what, is pipeline/.
"""
