"""Metrics of detectors, on arrays.

The files of this folder know numpy only (`masks.py` also pycocotools' run lengths), so
they can be used without torch. `metrics/` has the classes that configs name.
"""
