"""Networks that were exported before, to be run in place of exporting them again."""

import dataclasses
import importlib.util
import json
from pathlib import Path

from mmeff.deploy.parts import Part
from mmeff.errors import UserError

AGAIN = 'export the detector again'


def is_exported(checkpoint: str | Path) -> bool:
    """Whether a checkpoint is what `export` wrote, by its name."""
    return Path(checkpoint).suffix == '.onnx' or Path(checkpoint).is_dir()


def weights_sha256(exported: str | Path) -> str | None:
    """Digest of the checkpoint that was exported, if the files tell it."""
    import onnx

    path = Path(exported)
    file = next(iter(sorted(path.glob('*.onnx'))), path)
    entries = onnx.load(file, load_external_data=False).metadata_props
    return {entry.key: entry.value for entry in entries}.get('checkpoint_sha256')


class ExportedNetworks:
    """What `export` wrote: a file, or a folder with a file for each network.

    Args:
        path: Of the file or the folder.

    Raises:
        UserError: It is not there, or cannot be read because onnx is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UserError(
                f'{path}: no such file or folder; export the detector first'
            )
        if importlib.util.find_spec('onnx') is None:
            raise UserError('onnx is not installed: pip install "mmeff[onnx]"')

    def content(self, name: str) -> bytes:
        """The ONNX file of the part with this name.

        Raises:
            UserError: There is none, or it is no file of mmeff's with raw outputs.
        """
        return self._read(name)[0]

    def fit(self, part: Part, classes: tuple[str, ...], dynamic: bool) -> Part:
        """The part with its file, and an example of the file's batch.

        Args:
            part: Of the detector that is to be run.
            classes: Its classes.
            dynamic: Whether sizes of images vary.

        Raises:
            UserError: The file is for another detector or for other sizes.
        """
        content, model, facts = self._read(part.name)
        file = self._file(part.name)
        known = json.loads(facts['classes'])
        if known and classes and known != list(classes):
            raise UserError(
                f'{file}: was exported for the classes {", ".join(known)}, the detector '
                f'has {", ".join(classes)}; {AGAIN}'
            )
        shape = _shape(model)
        batch = shape[0] or len(part.example)
        expected = (batch, *part.example.shape[1:])
        for size, other in zip(shape, expected, strict=False):
            if size is not None and size != other:
                raise _wrong_size(file, shape, expected)
        if dynamic and not part.on_rois and None not in shape[2:]:
            raise UserError(
                f'{file}: was exported for images of one size, and the sizes of images '
                'vary with this test pipeline; export with --dynamic'
            )
        example = part.example[:1].expand(expected)
        return dataclasses.replace(part, onnx=content, example=example)

    def _file(self, name: str) -> Path:
        return self.path / f'{name}.onnx' if self.path.is_dir() else self.path

    def _read(self, name: str) -> tuple[bytes, object, dict[str, str]]:
        """Content, graph and metadata of a part's file."""
        import onnx

        file = self._file(name)
        try:
            content = file.read_bytes()
            model = onnx.load_from_string(content)
        except FileNotFoundError as error:
            names = sorted(each.stem for each in self.path.glob('*.onnx'))
            raise UserError(
                f'{file}: no such file; {self.path} has {", ".join(names) or "no network"}'
            ) from error
        except Exception as error:  # protobuf has exceptions of its own
            raise UserError(f'{file}: cannot be read as ONNX; {AGAIN}') from error
        facts = {entry.key: entry.value for entry in model.metadata_props}
        if 'mmeff_version' not in facts:
            raise UserError(
                f'{file}: has no metadata of mmeff; expected a file of `mmeff export`'
            )
        if facts['part'] != name:
            raise UserError(
                f'{file}: holds the part {facts["part"]}, the detector needs {name}'
            )
        inside = [key for key in ('pre', 'post') if facts[key] == 'inside']
        if inside:
            raise UserError(
                f'{file}: was exported with {" and ".join(inside)} inside; the detector '
                'does these itself: export with both outside'
            )
        return content, model, facts


def _shape(model: object) -> tuple[int | None, ...]:
    """Sizes of the input; None where they vary."""
    axes = model.graph.input[0].type.tensor_type.shape.dim
    return tuple(None if axis.dim_param else axis.dim_value for axis in axes)


def _wrong_size(file: Path, shape: tuple, expected: tuple) -> UserError:
    return UserError(
        f'{file}: was exported for an input of {shape} (batch, channels, height, width), '
        f'the detector has {expected}; {AGAIN} for this size, or with --dynamic'
    )
