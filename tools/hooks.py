"""Load mmeff in every Python of this environment: install, remove or show the start-up file.

`import mmeff` (or `custom_imports` in a config) is enough for almost everything.
Programs that import all of mmdet before they read a config, such as mmdet's own
tools/test.py, see mmeff's repairs only with this file. It adds one line to
site-packages that every interpreter of the environment runs when it starts.
"""

import argparse

from mmeff.cli import run


def main(argv=None) -> None:
    description, _, epilog = __doc__.partition('\n')
    parser = argparse.ArgumentParser(description=description, epilog=epilog)
    parser.add_argument('action', choices=['install', 'remove', 'status'])
    args = parser.parse_args(argv)

    from mmeff.apis import hooks

    print(getattr(hooks, args.action)())


if __name__ == '__main__':
    raise SystemExit(run(main))
