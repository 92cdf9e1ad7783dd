"""What a run asks of a Slurm cluster, looked at before anything is submitted."""

import re
import subprocess
from typing import Any

from rnngen.errors import InputError


def require_partitions(resources: Any) -> None:
    """InputError naming a partition that the cluster does not have.

    `resources` are Snakemake's `resource_settings`. Of a group of jobs that Slurm refuses, Snakemake does not say why.
    """
    everywhere = resources.default_resources or {}
    settings = [everywhere, *resources.overwrite_resources.values()]
    asked = [setting["slurm_partition"].raw for setting in settings if "slurm_partition" in setting]
    if not asked:
        return
    command = ["sinfo", "-h", "-o", "%R"]
    try:
        known = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except FileNotFoundError as error:
        raise InputError("slurm_partition: no sinfo on this machine; run this on a node of the cluster") from error
    except subprocess.CalledProcessError as error:
        raise InputError(f"slurm_partition: sinfo fails: {error.stderr.strip()}") from error
    for name in asked:
        for part in name.split(","):
            # an expression of Snakemake's decides when a job is submitted
            if re.fullmatch(r"[\w.-]+", part) and part not in known:
                raise InputError(f"slurm_partition={part}: the cluster has no such partition, but {', '.join(known)}")
