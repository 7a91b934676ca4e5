"""What the tests of the documents share: the files, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
DOCUMENTS = [
    *sorted(ROOT.glob('*.md')),
    *sorted(ROOT.glob('examples/**/*.md')),
    *sorted(p for p in DOCS.rglob('*.md') if '_build' not in p.parts),
]
FENCE = re.compile(r'^( *)```([^`\n]*)\n(.*?)^\1```', re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r'^    (\S.*)$', re.MULTILINE)
INLINE = re.compile(r'`([^`\n]+)`')
VARIABLE = re.compile(r'[A-Z_]+=')


@dataclass(frozen=True)
class Command:
    """A command line of a document.

    Attributes:
        document: Path below the repository.
        line: As it is written, continuation lines joined.
        inline: It is part of a sentence, which may leave arguments out.
    """

    document: str
    line: str
    inline: bool

    def __str__(self) -> str:
        return f'{self.document}: {self.line}'

    @property
    def words(self) -> list[str]:
        """Split as a shell does, without settings of variables before it."""
        words = shlex.split(self.line, comments=True)
        while words and VARIABLE.match(words[0]):
            words.pop(0)
        return words


def code_blocks(path: Path) -> list[tuple[str, str]]:
    """Language and text of the fenced blocks of a document."""
    return [(block[1], block[2]) for block in FENCE.findall(path.read_text('utf-8'))]


def commands() -> list[Command]:
    """All command lines of the documents, in order."""
    found = []
    for path in DOCUMENTS:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text('utf-8')
        lines = [
            line
            for language, block in code_blocks(path)
            if language in ('', 'bash', 'sh', 'console')
            for line in block.replace('\\\n', ' ').splitlines()
        ]
        rest = FENCE.sub('', text)
        lines += INDENTED.findall(rest)
        found += [Command(name, line.strip(), False) for line in lines]
        found += [Command(name, code, True) for code in INLINE.findall(rest)]
    return found


def load_script(name: str):
    """A script of `docs/` as a module."""
    spec = spec_from_file_location(f'docs_{name}', DOCS / f'{name}.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
