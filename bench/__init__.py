"""The benchmark: the recorder beside its peers, in one run, on one machine.

`python -m bench` (see __main__.py) generates the loads (load.py), runs every tool of a row in
interleaved rounds (measure.py, lab.py, peers.py, rows/), keeps every single value (results.py)
and writes tables and plots (report.py, plots.py) to docs/bench.
"""
