"""Whose word is it? Notes, journals, locks and tokens name what is undone, removed, stopped, sent: not all are obeyed.

    every folder and link on the way     root's or the caller's; writable by others only where it is sticky
    the file                             regular, root's or the caller's, not writable by others; opened once, not
                                         through a link, and looked at by its descriptor

So no other user can have written it, nor put another in its place. Group members are others, unless the group is the
caller's own or root's. Commands that only read need none of this, and take any owner's files.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path
from shlex import quote

from chaoskit.files import SMALL, open_regular, read_descriptor

_LINKS = 40


class Distrusted(PermissionError):
    """A file that another user may have written; `strerror` says whose it is, or who can write to it."""

    def __init__(self, path: str | Path, why: str) -> None:
        super().__init__(errno.EPERM, why, str(path))


def user(uid: int) -> str:
    """A user's name, or number where there is none."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def is_ours(uid: int) -> bool:
    """Whether this is the caller or root."""
    return uid in (0, os.geteuid())


def real_folder(folder: Path) -> Path:
    """Where a folder really is; raises Distrusted where another user could lead the way elsewhere, and OSError.

    Links on the way are followed as long as they are root's or the caller's.
    """
    at, links = "/", 0
    _believe_folder(at)
    todo = _parts(os.fspath(folder) if folder.is_absolute() else os.path.join(os.getcwd(), folder))  # noqa: PTH109, PTH118
    while todo:
        part = todo.pop()
        if part == "..":
            at = str(Path(at).parent)
            continue
        here = str(Path(at) / part)
        try:
            found = os.lstat(here)
        except ValueError as error:  # a NUL in the name
            raise OSError(errno.EINVAL, str(error), here) from None
        if not stat.S_ISLNK(found.st_mode):
            _believe_folder(here)
            at = here
            continue
        if not is_ours(found.st_uid):
            raise Distrusted(here, f"the link {here} belongs to {user(found.st_uid)}: remove it")
        if (links := links + 1) > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
        target = str(Path(here).readlink())
        at = "/" if target.startswith("/") else at
        todo += _parts(target)
    return Path(at)


def open_own(path: Path, flags: int = os.O_RDONLY, *, once: bool = False) -> int:
    """A descriptor of a file that may be obeyed, as far as the file itself tells; see `real_folder` for its way.

    With `once` it must have no other name. Raises Distrusted, and OSError (ELOOP for a link).
    """
    fd = open_regular(path, flags | os.O_NOFOLLOW)
    try:
        found = os.fstat(fd)
        if not is_ours(found.st_uid):
            raise Distrusted(path, f"it belongs to {user(found.st_uid)}")
        if _open_to_others(found):
            raise Distrusted(path, "other users may write to it")
        if once and found.st_nlink > 1:
            raise Distrusted(path, "it has a second hard link: copy it anew")
    except OSError:
        os.close(fd)
        raise
    return fd


def read_own(path: Path, most: int = SMALL, *, once: bool = False) -> bytes:
    """The content of a file that may be obeyed, of at most so many bytes; raises Distrusted, and OSError."""
    return read_descriptor(open_own(path, once=once), most, path)


def read_secret(path: Path) -> bytes:
    """A secret from a file that may be obeyed, the folders above it included; raises Distrusted, and OSError.

    A link to it is followed where it and its way are to be believed: secrets are mounted like that.
    """
    for _ in range(_LINKS):
        path = real_folder(path.parent) / path.name
        if not path.is_symlink():
            return read_own(path)
        if not is_ours(os.lstat(path).st_uid):
            raise Distrusted(path, f"the link belongs to {user(os.lstat(path).st_uid)}")
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def distrust(folder: Path, name: str) -> str:
    """The reason not to trust a file or a folder above it; empty where both are trusted or the file is missing."""
    try:
        file = real_folder(folder) / name
        if not is_ours(uid := file.lstat().st_uid):
            return f"{file}: it belongs to {user(uid)}"
        os.close(open_own(file))
    except Distrusted as error:
        return f"{error.filename}: {error.strerror}"
    except OSError as error:
        return f"{folder / name}: it is a link" if error.errno == errno.ELOOP else ""
    return ""


def _believe_folder(path: str) -> None:
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    # The owner of the root folder has root's power over every path, whatever their number is in this namespace.
    if not is_ours(found.st_uid) and found.st_uid != os.lstat("/").st_uid:
        raise Distrusted(path, f"the folder {path} belongs to {user(found.st_uid)}")
    if _open_to_others(found) and not found.st_mode & stat.S_ISVTX:
        raise Distrusted(path, f"other users may write to the folder {path}; take that away: chmod go-w {quote(path)}")


def _open_to_others(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _private(found.st_gid)


def _private(gid: int) -> bool:
    """Whether a group has no members but the caller and root."""
    if gid == 0:
        return True
    try:
        group = grp.getgrgid(gid)
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return gid == os.getegid()
    return group.gr_name == name and not set(group.gr_mem) - {name}


def _parts(path: str) -> list[str]:
    """The parts of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
