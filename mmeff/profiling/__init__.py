"""What a network costs: counts, latency, and the machine they were taken on.

Knows torch only, so that any `nn.Module` or callable can be measured; `detector.py` is
the one file that knows mmdet. Every number leaves through a file of `results.py`.
"""
