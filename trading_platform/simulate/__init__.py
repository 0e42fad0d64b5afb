"""A simulated venue on this machine: real protocol, recorded or synthetic trades, planned faults, a truth file.

It shares no code with the recorder; tests and `demo` compare the recorded data with its truth file.
"""
