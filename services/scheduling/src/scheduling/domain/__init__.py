"""What scheduling decides: who gets which worker, and what to do when nothing was heard in time.

Pure functions over plain values, so that the same code can run in a simulator.
"""
