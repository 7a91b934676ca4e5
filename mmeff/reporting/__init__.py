"""Tables, figures and pages of what was measured.

Reads the JSON files of `tools/benchmark.py` and `tools/test.py`, and knows neither torch
nor models, so a report can be made on a machine that has neither.
"""
