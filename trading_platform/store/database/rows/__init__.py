"""The rows of the lake in the database: written live and by leaf, covered, read back. Schemas and access are above."""
