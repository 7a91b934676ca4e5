"""One function per tool; each is as usable from Python as from the command line."""
