"""What layouts are made of: a mark, and rules for renaming keys."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

State = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One way in which the weights of a family were published.

    Attributes:
        name: Who publishes it so: 'timm', 'torchvision', 'official'.
        mark: Regular expression found in a key of this layout and in none of another.
        convert: From its state dict and our model to a state dict of our names. Keys
            that have no place in the model stay and are reported.
    """

    name: str
    mark: str
    convert: Callable[[Mapping, nn.Module], State]

    def matches(self, state: Mapping) -> bool:
        return any(re.search(self.mark, key) for key in state)


def rename(state: Mapping, rules: Iterable[tuple[str, str]]) -> State:
    """Apply each (pattern, replacement) of `re.sub` to each key, in order."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def rename_blocks(state: Mapping, pattern: str, model: nn.Module) -> State:
    """Give the i-th block of a file the name of the model's i-th block.

    Args:
        state: Whose keys begin with block names.
        pattern: Matches a block's name at the beginning of a key; its groups are the
            numbers that order the blocks.
        model: A backbone. Blocks that it does not have keep their names.
    """
    found = {}
    for key in state:
        if match := re.match(pattern, key):
            found[tuple(map(int, match.groups()))] = match.group()
    theirs = [found[numbers] for numbers in sorted(found)]
    names = dict(zip(theirs, model.block_names(), strict=False))
    renamed = {}
    for key, value in state.items():
        match = re.match(pattern, key)
        if match and match.group() in names:
            key = names[match.group()] + key[match.end() :]
        renamed[key] = value
    return renamed
