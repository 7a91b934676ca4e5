"""Write model-index.yml, the metafiles and the page of the model zoo, in a clone of mmeff.

Its numbers come from the tables of mmeff/fidelity and from the result files below
docs/results; run it again when a config is added or a result is measured.

examples:
  model_index
"""

from mmeff.cli import run, tool_parser


def main(argv=None) -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('--root', default='.', help='the clone (default: this folder)')
    args = parser.parse_args(argv)

    from mmeff.zoo.index import write_model_index

    for path in write_model_index(args.root):
        print(path)


if __name__ == '__main__':
    raise SystemExit(run(main))
