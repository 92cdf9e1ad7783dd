"""Steps recorded as CUDA graphs.

An operation on a small recurrent layer takes the processor longer to launch than the GPU to compute. A recording is
launched as a whole. It fixes shapes and addresses, so arguments are copied into its memory, and results out of it.

Without CUDA, or with RNNGEN_CUDA_GRAPHS=0 in the environment, the launches are simply made.
"""

import functools
import gc
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

GRAPHS = os.environ.get("RNNGEN_CUDA_GRAPHS") != "0"


@functools.cache
def _memory() -> Any:
    """The memory that recordings share: one replays after the other, and results are copied out before the next."""
    return torch.cuda.graph_pool_handle()


def record(step: Callable[..., tuple[Tensor, ...]], *like: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    """`step`, tensors in and tensors out, as a CUDA graph for arguments shaped as `like`; without CUDA, as it is.

    It must not wait for the device. What else it reads must stay in place; the results are the caller's own.
    """
    if like[0].device.type != "cuda" or not GRAPHS:
        return step
    arguments = [x.clone() for x in like]
    # once without a recording, which makes cuBLAS's handle and compiles kernels; on a stream of its own, as torch
    # requires
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        step(*arguments)
    torch.cuda.current_stream().wait_stream(aside)
    gc.collect()  # a dead autograd graph would tie the weights' nodes to that stream, which cannot be recorded
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_memory()):
        results = step(*arguments)

    def replay(*tensors: Tensor) -> tuple[Tensor, ...]:
        for place, x in zip(arguments, tensors, strict=True):
            place.copy_(x)
        graph.replay()
        return tuple(x.clone() for x in results)

    return replay
