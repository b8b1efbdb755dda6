"""The errors of partitions and of those who compute them; each message says what to do."""

from __future__ import annotations


class DatasetError(Exception):
    """The facts cannot be used: a file is missing, damaged, or of other facts."""


class NoDatasetError(DatasetError):
    """The folder holds no facts."""


class VersionError(Exception):
    """A worker has other kernels than the program that asks it."""


class ClusterError(Exception):
    """A cluster cannot be used any more; nothing was written."""


class NoClusterError(ClusterError):
    """No scheduler answers at the address, or it has no workers."""
