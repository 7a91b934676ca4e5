"""Pictures and videos to predict on: finding them, reading them frame by frame.

Inputs come from strangers: each file is checked by its header before it is decoded, and
one that cannot be read becomes a message, not a crash of the whole folder.
"""

import glob
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import Image

from mmeff.datasets.files import IMAGE_SUFFIXES, is_image
from mmeff.datasets.image_files import FORMATS
from mmeff.errors import UserError

VIDEO_SUFFIXES = (
    *('.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.ts'),
    *('.webm', '.wmv'),
)
MIN_FRAMES_READ = 0.95  # of those announced; some containers only estimate the number

Input = str | Path | np.ndarray

EXPECTED_ARRAY = (
    'expected (height, width, 3) of uint8 in BGR order, as cv2.imread gives it, or grey '
    '(height, width), BGRA (height, width, 4), or uint16 of these'
)


@dataclass(frozen=True, eq=False)
class Source:
    """One picture, video or array to predict on."""

    name: str  # path with / below the folder that all inputs share
    content: Path | np.ndarray

    @property
    def is_video(self) -> bool:
        return isinstance(self.content, Path) and _is_video(self.content)


@dataclass(frozen=True, eq=False)
class Frame:
    """A decoded picture, (H, W, 3) uint8 in BGR order, upright as its EXIF tag says."""

    source: Source
    image: np.ndarray
    index: int = 0  # number of the frame in a video

    @property
    def name(self) -> str:
        """Name of the picture; the frames of a video have a number added."""
        name = self.source.name
        return f'{name}/{self.index:06d}' if self.source.is_video else name


def find_sources(
    inputs: Input | Sequence[Input], ignore: Path | None = None
) -> list[Source]:
    """Turn files, folders, glob patterns and arrays into sources, in the order given.

    A folder gives the images in it and in its subfolders, sorted; hidden ones and
    videos are left out. A file that is named twice comes once.

    Args:
        inputs: One input or several.
        ignore: Folder whose images are left out: that of the pictures to be written.

    Raises:
        UserError: An input does not exist, holds no image, or is no image array.
    """
    if isinstance(inputs, np.ndarray) and inputs.ndim == 4:
        inputs = list(inputs)
    elif not isinstance(inputs, Sequence) or isinstance(inputs, str):
        inputs = [inputs]
    roots, contents = [], []
    for position, item in enumerate(inputs):
        if not isinstance(item, str | Path):
            source = image_source(item, position)
            contents.append((source.name, source.content))
        else:
            root, files = _find_files(str(item), ignore)
            roots.append(root)
            contents.extend((None, file) for file in dict.fromkeys(files))
    if not contents:
        raise UserError('no inputs: expected images, folders, glob patterns or videos')
    shared = os.path.commonpath(roots) if roots else ''
    sources = {}
    for name, content in contents:
        name = name or content.relative_to(shared).as_posix()
        sources.setdefault(name, Source(name, content))
    return list(sources.values())


def image_source(item: Input, position: int = 0) -> Source:
    """One image, as a file or as an array.

    Args:
        item: Path of an image file, or an array as in `to_bgr`.
        position: Number of the input, which an array is named by.

    Raises:
        UserError: It is something else, or the file does not exist.
    """
    if isinstance(item, np.ndarray):
        _check_array(item, position)
        return Source(f'array_{position:06d}', item)
    if not isinstance(item, str | Path):
        raise UserError(
            f'input {position} is a {type(item).__name__}; expected the path of a file '
            f'or a numpy array: {EXPECTED_ARRAY}'
        )
    file = Path(os.path.abspath(os.path.expanduser(item)))
    if not file.is_file() or _is_video(file):
        found = 'a video' if file.is_file() else 'no file'
        raise UserError(
            f'{item}: {found}; expected an image file. Give videos, folders and glob '
            'patterns one at a time'
        )
    return Source(file.name, file)


def is_single_image(item: Input) -> bool:
    """Whether it is an array or the path of one image file, rather than of many."""
    if isinstance(item, str | Path):
        file = Path(os.path.expanduser(item))
        return file.is_file() and not _is_video(file)
    return True


def _check_array(image: np.ndarray, position: int) -> None:
    channels = image.shape[2] if image.ndim == 3 else image.ndim - 1
    if (
        image.ndim not in (2, 3)
        or channels not in (1, 3, 4)
        or image.dtype not in (np.uint8, np.uint16)
    ):
        raise UserError(
            f'input {position} is an array of shape {image.shape} and type '
            f'{image.dtype}; {EXPECTED_ARRAY}'
        )
    if not image.size:
        raise UserError(f'input {position} is an empty array of shape {image.shape}')


def to_bgr(image: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) uint8 in BGR order that OpenCV would decode as a colour PNG.

    Args:
        image: Grey (H, W) or (H, W, 1), BGR (H, W, 3) or BGRA (H, W, 4), where the alpha
            channel is dropped; of uint16, the lower eight bits are dropped.
    """
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _find_files(text: str, ignore: Path | None) -> tuple[Path, list[Path]]:
    """Folder that the names are relative to, and the files of one input."""
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if path.is_dir():
        files = [file for file in _walk(path) if not _lies_in(file, ignore)]
        return path, _expect_some(files, text, path)
    if path.is_file():
        return path.parent, [path]
    if not glob.has_magic(text):
        raise UserError(
            f'{text}: no such file or folder; expected an image, a video, a folder of '
            'images or a glob pattern'
        )
    pattern = os.path.expanduser(text)
    names = sorted(glob.glob(pattern, recursive=True))
    found = [Path(os.path.abspath(name)) for name in names]
    files = [
        file for file in found if file.is_file() and (is_image(file) or _is_video(file))
    ]
    root = Path(pattern)
    while glob.has_magic(str(root)):
        root = root.parent
    return Path(os.path.abspath(root)), _expect_some(files, text, *found)


def _walk(folder: Path) -> list[Path]:
    """Images in a folder and its subfolders, each folder's own images first."""
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        files.extend(filter(is_image, (Path(parent, name) for name in sorted(names))))
    return files


def _lies_in(file: Path, folder: Path | None) -> bool:
    return folder is not None and file.is_relative_to(folder)


def _expect_some(files: list[Path], text: str, *found: Path) -> list[Path]:
    """The files, or a message about what was found instead."""
    if files:
        return files
    expected = f'expected images ({" ".join(IMAGE_SUFFIXES)})'
    if not found:
        raise UserError(f'{text}: nothing has such a name; {expected} or videos')
    suffixes = [
        file.suffix.lower() or 'no suffix'
        for path in found
        for file in (path.rglob('*') if path.is_dir() else [path])
        if file.is_file()
    ]
    counts = ', '.join(
        f'{suffixes.count(suffix)} {suffix}' for suffix in sorted(set(suffixes))[:8]
    )
    raise UserError(
        f'{text}: no images in there; found {counts or "no files at all"}, {expected}. '
        'Videos of a folder must be named, and earlier results are not taken as inputs'
    )


def _is_video(file: Path) -> bool:
    return file.suffix.lower() in VIDEO_SUFFIXES and not file.name.startswith('.')


def count_frames(sources: Iterable[Source]) -> int:
    """Number of frames to expect; for videos what their header announces."""
    count = 0
    for source in sources:
        if source.is_video:
            video = cv2.VideoCapture(str(source.content))
            count += max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
            video.release()
        else:
            count += 1
    return count


def frames_per_second(video: Path) -> float:
    """Frame rate that a video file states; 25 when it states none."""
    capture = cv2.VideoCapture(str(video))
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return rate if 0 < rate < 1000 else 25.0


def read_frames(
    source: Source, color_type: str = 'color', imdecode_backend: str = 'cv2'
) -> Iterator[Frame]:
    """Decode a source.

    Args:
        source: What to read.
        color_type: As in mmcv's `LoadImageFromFile`; 'color' honours EXIF orientation.
        imdecode_backend: As in mmcv's `LoadImageFromFile`.

    Raises:
        UserError: The file is no picture or video, is cut off, or is too large. The
            frames before the cut in a video are given first.
    """
    if isinstance(source.content, np.ndarray):
        yield Frame(source, to_bgr(source.content))
    elif source.is_video:
        yield from _read_video(source)
    else:
        _check_header(source.content)
        try:
            data = source.content.read_bytes()
            image = mmcv.imfrombytes(data, color_type, backend=imdecode_backend)
        except (OSError, ValueError, cv2.error) as error:
            raise UserError(f'{source.content}: cannot be read ({error})') from error
        if image is None:
            raise UserError(
                f'{source.content}: cannot be decoded; the file is damaged or cut off '
                f'({len(data)} bytes), copy it again'
            )
        yield Frame(source, image)


def _check_header(file: Path) -> None:
    """Refuse what is no picture, and pictures that would fill the memory.

    Only formats that are decoded without another program are known here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            Image.open(file, formats=FORMATS).close()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(
            f'{file}: {str(error).split(",")[0]}; cut it into tiles, or raise '
            'PIL.Image.MAX_IMAGE_PIXELS in a script of yours if you trust the file'
        ) from error
    except Image.UnidentifiedImageError as error:
        size = file.stat().st_size
        raise UserError(
            f'{file}: {f"its {size} bytes are" if size else "an empty file,"} no picture '
            f'in a known format; expected one of {" ".join(IMAGE_SUFFIXES)}'
        ) from error
    # damaged files make PIL raise nearly anything
    except Exception as error:
        reason = getattr(error, 'strerror', None) or error
        raise UserError(f'{file}: cannot be read ({reason})') from error


def _read_video(source: Source) -> Iterator[Frame]:
    video = cv2.VideoCapture(str(source.content))
    try:
        width, height, announced = (
            int(video.get(name))
            for name in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FRAME_COUNT,
            )
        )
        if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
            raise UserError(
                f'{source.content}: frames of {width}x{height} are too large'
            )
        count = 0
        while (read := video.read())[0]:
            yield Frame(source, read[1], count)
            count += 1
    finally:
        video.release()
    if count == 0:
        raise UserError(
            f'{source.content}: no frame can be read; the video is damaged, cut off, or '
            'in a coding that OpenCV cannot decode (convert it to H.264 in .mp4)'
        )
    if count < MIN_FRAMES_READ * announced:
        raise UserError(
            f'{source.content}: only {count} of {announced} frames can be read; the '
            'video is damaged or cut off'
        )
