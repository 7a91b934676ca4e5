"""The papers' experiments on what makes a net fast, to be repeated on any device.

ShuffleNetV2's guidelines G1 to G4, VoVNet's 1x1 bottlenecks, and the picture of what
concatenations are used for. Knows torch, `mmeff.profiling` and the backbones.
"""
