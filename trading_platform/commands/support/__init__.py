"""What several commands share: arguments, opening a data directory, tables, starting the whole platform.

Every other module of commands/ is a command.
"""
