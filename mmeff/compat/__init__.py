"""Upstream defects that mmeff's users meet, one small file each.

Each file says why it exists, where upstream discusses it and when to delete it, and has
one function `apply(module)` that mends the freshly imported upstream module.
`mmeff/_hooks.py` lists which module goes to which file. `tests/test_compat` has, for
every file, a test that fails once upstream is mended.
"""
