"""Columns that grow: arrays in memory while they are small, memory-mapped files once they are not."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, DTypeLike, NDArray

# Rows are handed to the disk in pieces of about this many bytes.
_FLUSH_BYTES = 64 * 2**20


class ColumnBuilder:
    """Collects rows of several columns, of which the whole may be larger than memory.

    Rows stay in memory up to `in_memory_limit` bytes in all. Beyond it every column moves into an `.npy` file
    in a fresh directory under `cache_dir`, and `finish` returns read-only memory maps of those files. The
    directory is removed as soon as the maps exist where the system allows that (the space is then returned
    when the process ends, however it ends), otherwise at exit.

    Use as a context manager: leaving it on an error removes what was written.

    Args:
        columns: name to (dtype, shape of one row).
        in_memory_limit: bytes.
        cache_dir: where the cache goes; the system's temporary directory by default. It must exist.
    """

    def __init__(
        self,
        columns: Mapping[str, tuple[DTypeLike, tuple[int, ...]]],
        in_memory_limit: int,
        cache_dir: Path | None = None,
    ) -> None:
        self._columns = {name: (np.dtype(dtype), shape) for name, (dtype, shape) in columns.items()}
        self._limit = in_memory_limit
        self._cache_dir = cache_dir
        self._pending: dict[str, list[NDArray]] = {name: [] for name in columns}
        self._pending_bytes = 0
        self._rows = dict.fromkeys(columns, 0)
        self._directory: Path | None = None

    def __enter__(self) -> ColumnBuilder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            if self._directory.exists():  # Windows keeps a mapped file until the map is closed.
                atexit.register(shutil.rmtree, self._directory, ignore_errors=True)

    @property
    def on_disk(self) -> bool:
        """Whether the columns have outgrown the limit."""
        return self._directory is not None

    def append(self, name: str, rows: ArrayLike) -> None:
        """Add rows [n, *shape] to one column, copied."""
        dtype, shape = self._columns[name]
        array = np.array(rows, dtype=dtype).reshape(-1, *shape)
        self._pending[name].append(array)
        self._pending_bytes += array.nbytes
        self._rows[name] += len(array)
        if self._pending_bytes > (min(self._limit, _FLUSH_BYTES) if self.on_disk else self._limit):
            self._flush()

    def finish(self) -> dict[str, NDArray]:
        """Every column, whole: [rows, *shape], read-only."""
        if self._directory is None:
            arrays = {name: self._joined(name) for name in self._columns}
            for array in arrays.values():
                array.flags.writeable = False
            return arrays
        self._flush()
        arrays = {}
        for name, (dtype, shape) in self._columns.items():
            path = self._path(name)
            with open(path, "r+b") as file:
                npy.write_array_header_1_0(file, self._header(dtype, (self._rows[name], *shape)))
            arrays[name] = np.load(path, mmap_mode="r" if self._rows[name] else None, allow_pickle=False)
        return arrays

    def _joined(self, name: str) -> NDArray:
        dtype, shape = self._columns[name]
        return np.concatenate([np.empty((0, *shape), dtype), *self._pending[name]])

    def _flush(self) -> None:
        """Move what is pending to the files, and start them if there are none."""
        try:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="cynosure-frames-", dir=self._cache_dir))
                for name, (dtype, shape) in self._columns.items():
                    with open(self._path(name), "wb") as file:
                        npy.write_array_header_1_0(file, self._header(dtype, (0, *shape)))
            for name in self._columns:
                with open(self._path(name), "ab") as file:
                    file.write(self._joined(name).tobytes())
                self._pending[name].clear()
        except OSError as error:
            where = self._directory or self._cache_dir or tempfile.gettempdir()
            raise OSError(
                error.errno,
                f"the frames do not fit in memory and caching them in {where} failed ({error.strerror});"
                " name a directory with more space as cache_dir",
            ) from error
        self._pending_bytes = 0

    def _path(self, name: str) -> Path:
        if self._directory is None:
            raise RuntimeError("columns that are in memory have no file")
        return self._directory / f"{name}.npy"

    @staticmethod
    def _header(dtype: np.dtype, shape: tuple[int, ...]) -> dict[str, object]:
        # numpy pads this header so that the first axis may grow in place: the header that is written first,
        # with no rows, is as long as the last one.
        return {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
