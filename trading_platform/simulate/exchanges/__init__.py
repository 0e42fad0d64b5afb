"""One exchange's wire protocol a file, as the simulator speaks it.

The markets played through them are simulate/; reading the protocol is venues/.
"""
