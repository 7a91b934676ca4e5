"""The one exception that command line tools print as a plain message."""


class UserError(Exception):
    """Something the user can mend: a path, a file, an argument, a config.

    The message says what was found, what was expected and what to do next; tools
    print it without a traceback and exit with status 2.
    """
