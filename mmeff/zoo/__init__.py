"""The model zoo: what configs, tables and result files say, written for tools and people."""
