"""What the stack raises when the world around a training breaks, in a user's words."""

import errno

from torch.distributed import DistError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
PEERS = ('gloo', 'nccl', 'connection closed by peer', 'connection reset by peer')


def describe_fault(error: Exception) -> str | None:
    """A sentence about a full disk, a dead worker and the like; None for other errors."""
    text = str(error).strip().split('\n')[0]
    cut_off = isinstance(
        error, ConnectionError | EOFError
    )  # while it handed over images
    if cut_off or 'DataLoader worker (pid' in text:
        return (
            f'a process that loads images has died ({text.rstrip(".")}). '
            'Often the memory was full: take fewer of them '
            '(--cfg-options train_dataloader.num_workers=0) or smaller batches'
        )
    if isinstance(error, OSError):
        return _of_disk(error)
    if isinstance(error, DistError) or any(peer in text.lower() for peer in PEERS):
        return (
            f'another process of this training has ended or cannot be reached ({text}); '
            'what it says itself, or the log of the system, tells why'
        )
    return None


def _of_disk(error: OSError) -> str | None:
    name = error.filename or 'a file of the work dir'
    if error.errno in FULL:
        return f'{name} cannot be written: {error.strerror}. Make room on that disk'
    if error.errno in REFUSED:
        return f'{name} cannot be written or read: {error.strerror}'
    return None
