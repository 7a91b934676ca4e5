"""Tables of what was measured; reads result files only, never a model."""
