"""The test cluster, up for the length of the session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from onehost import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running SLURM with the nodes n1 and n2, four stand-ins for GPUs each, and the partitions cpu and gpu.

    Skipped where it cannot run; with CYCLEMIX_REQUIRE_CLUSTER (`make test-cluster`) that is a failure.
    """
    unable = pytest.fail if os.environ.get("CYCLEMIX_REQUIRE_CLUSTER") else pytest.skip
    slurm = Cluster()
    if os.geteuid() != 0:
        unable("a SLURM on this host needs root: its configuration must lie in /etc/slurm")
    if slurm.missing:
        unable(f"not installed: {', '.join(slurm.missing)}; apt-get install slurm-wlm munge")
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
