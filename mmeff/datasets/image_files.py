"""Sizes of image files, read without trust: small in time and memory whatever they are."""

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mmeff.datasets.files import first_three
from mmeff.datasets.findings import STRICT, Defect, Strict

# What OpenCV decodes as well. PIL knows more, for some of which it starts programs.
FORMATS = ('JPEG', 'PNG', 'BMP', 'TIFF', 'WEBP', 'GIF', 'PPM', 'JPEG2000')
EXIF_ORIENTATION = 0x0112
END_MARKERS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND'}
TAIL_BYTES = 4096
NUM_THREADS = 8
FEW = 50  # files for which starting threads takes longer than it saves
LARGE_PIXELS = 2**24  # images from this size on are decoded one at a time,
# all by one thread, for each thread would keep the memory of its largest image
_large_images = ThreadPoolExecutor(1)


def read_sizes(
    files: Sequence[Path], source: Path, found: Strict = STRICT
) -> list[tuple[int, int] | None]:
    """Read (width, height) of each image from its header, as a detector sees it.

    A picture that its EXIF tag turns by 90 degrees is loaded turned by OpenCV, so
    its width and height are swapped here too. The end of the file is looked at as well,
    for a file that was cut off still has its header.

    Args:
        files: Image files; those that do not exist get None.
        source: The annotation file or folder that names them, for the message.
        found: Is told those that cannot be read; they get None.

    Raises:
        UserError: From `found`; gives the count and the first three.
    """
    with warnings.catch_warnings():
        # of images that are refused a line later
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        sizes = in_threads(partial(_read_size, decode=found.decode), files)
    broken = [
        (file, size)
        for file, size in zip(files, sizes, strict=True)
        if isinstance(size, str)
    ]
    if broken:
        found.refuse(
            f'{source}: {len(broken)} of {len(files)} images cannot be read: '
            f'{first_three([f"{file} ({reason})" for file, reason in broken])}; replace '
            'them, or take them out of the annotations',
            *(
                Defect('unreadable image', str(file), '', reason)
                for file, reason in broken
            ),
        )
    return [None if isinstance(size, str) else size for size in sizes]


def in_threads(function: Callable, files: Sequence[Path]) -> list:
    """What the function gives for each file; many files are read at the same time."""
    if len(files) < FEW:
        return [function(file) for file in files]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        return list(pool.map(function, files))


def _read_size(file: Path, decode: bool) -> tuple[int, int] | str | None:
    """(width, height); the reason why there is none; None for a missing file."""
    try:
        if not os.path.isfile(file):
            return None
        if os.path.getsize(file) == 0:
            return 'empty file'
        with Image.open(file, formats=FORMATS) as image:
            reason = too_large(*image.size)
            if reason:
                return reason
            # asked for the tags of a PNG without any, PIL decodes all of it
            has_tags = image.format != 'PNG' or 'exif' in image.info
            turned = has_tags and image.getexif().get(EXIF_ORIENTATION, 1) >= 5
            width, height = image.size
            if decode or not _has_end(file, image.format):
                if width * height > LARGE_PIXELS:
                    _large_images.submit(_decode, file).result()
                else:
                    _decode(file)
    except UnidentifiedImageError:
        return f'no image format that is read ({", ".join(FORMATS)})'
    # damaged files make PIL raise nearly anything
    except Exception as error:
        return str(error) or type(error).__name__
    return (height, width) if turned else (width, height)


def _decode(file: Path) -> None:
    """Decode an image; its pixels are gone when this returns."""
    with Image.open(file, formats=FORMATS) as image:
        image.load()


def too_large(width: int, height: int) -> str:
    """Why an image of this size is not decoded: it could fill the memory; else ''."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or width * height <= limit:
        return ''
    return (
        f'{width}x{height} pixels are more than {limit / 1e6:.0f} million; cut it into '
        'tiles'
    )


def _has_end(file: Path, form: str) -> bool:
    """True when the end of a JPEG or PNG file is where it should be.

    Neither marker can occur within the compressed pixels, and some programs write
    more after it.
    """
    marker = END_MARKERS.get(form)
    if marker is None:
        return False
    with open(file, 'rb') as stream:
        stream.seek(max(0, os.path.getsize(file) - TAIL_BYTES))
        return marker in stream.read()
