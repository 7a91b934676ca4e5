"""Detectors at the speed of the machine: optimise, export, and one predictor over all."""
