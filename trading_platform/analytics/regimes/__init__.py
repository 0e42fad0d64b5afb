"""Market regimes: a Gaussian hidden Markov model of returns, its causal filter, and its form for stored datasets.

hmm.py is the model on any 1-D array; fit.py finds one; scaled.py steps a model over bars, day by day, with state
that can be kept; default.py is the model that ships. Fitting and promoting per symbol is pipeline/.
"""
