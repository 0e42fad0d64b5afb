"""What notebooks and strategies call to read: ticks, bars, indicators, regimes, as of now or of an earlier time.

Reading files is store/lake/; computing is analytics/.
"""
