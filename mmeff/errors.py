"""The one exception that command line tools print as a plain message, and how."""


class UserError(Exception):
    """Something the user can mend: a path, a file, an argument, a config.

    The message says what was found, what was expected and what to do next; tools
    print it without a traceback and exit with `status`.
    """

    status = 2


def escape(text: str) -> str:
    """The text on one line, without characters that would act on a terminal."""
    if text.isprintable():
        return text
    return ''.join(
        c if c.isprintable() else c.encode('unicode_escape').decode() for c in text
    )
