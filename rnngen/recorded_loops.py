"""Time loops recorded as CUDA graphs, and their buffers kept between calls.

A step of a recurrent layer is a small product and a small kernel, and launching them takes the processor longer than
computing them takes the GPU. So a loop over time is recorded once and replayed, which takes the launches off the
processor's hands. A graph fixes its shapes and its memory: each shape has a loop object of its own with buffers for
everything that the loop reads and writes, and T is rounded up to a few values (`bucket`) so that there are few.

Inside a caller's own recording (`torch.cuda.graph` around a whole training step) the launches join that graph; without
CUDA, or with RNNGEN_CUDA_GRAPHS=0 in the environment, they are simply made.
"""

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

ALIGNED = 16
"""Sizes of products are rounded up to this: cuBLAS wants rows of 16 bytes for the matrix units."""


def aligned(size: int) -> int:
    """`size` rounded up for the matrix units."""
    return -(-size // ALIGNED) * ALIGNED


def bucket(steps: int) -> int:
    """`steps` rounded up to one of sixteen values an octave: at most 1/16 more, or 3."""
    grain = max(4, 1 << max(0, steps.bit_length() - 5))
    return -(-steps // grain) * grain


class RecordedLoop:
    """A forward and a backward loop over buffers that stay where they are; subclasses make both.

    `shape` is everything that the loops depend on, and has a `device`. `overwritten` are the buffers that a loop both
    reads from outside and writes.
    """

    overwritten: list[Tensor]

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        self.graphs: dict[str, torch.cuda.CUDAGraph] = {}

    def forward(self) -> None:
        raise NotImplementedError

    def backward(self) -> None:
        raise NotImplementedError

    @property
    def bytes(self) -> int:
        return sum(x.numel() * x.element_size() for x in vars(self).values() if isinstance(x, Tensor))

    def run(self, name: str) -> None:
        """The loop `name`, "forward" or "backward", over the buffers as they stand."""
        loop = getattr(self, name)
        if not LOOPS.graphs or self.shape.device.type != "cuda" or recording(self.shape.device):
            loop()
            return
        if name not in self.graphs:
            kept = [x.clone() for x in self.overwritten]
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                loop()  # compiles the kernels and lets cuBLAS choose, neither of which can be recorded
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                loop()
            for x, before in zip(self.overwritten, kept, strict=True):
                x.copy_(before)
            self.graphs[name] = graph
        self.graphs[name].replay()


def recorded(step: Callable[..., tuple[Tensor, ...]], *like: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    """`step`, tensors in and tensors out, as a CUDA graph for arguments of the shapes of `like`; elsewhere as it is.

    It must not wait for the device. What else it reads stays where it was, results are the caller's own.
    """
    if like[0].device.type != "cuda" or not LOOPS.graphs:
        return step
    arguments = [x.clone() for x in like]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(*arguments)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step(*arguments)

    def replay(*tensors: Tensor) -> tuple[Tensor, ...]:
        for place, x in zip(arguments, tensors, strict=True):
            place.copy_(x)
        graph.replay()
        return tuple(x.clone() for x in results)

    return replay


class Loops:
    """Loops kept between calls, most recently used last.

    Those not in use take up to `limit` bytes (None: a quarter of the card's memory). A forward pass takes one and the
    backward pass gives it back, so two layers of one shape have a loop each. With `graphs` False nothing is recorded:
    the launches are made one by one.
    """

    def __init__(self, limit: int | None = None, graphs: bool = True):
        self.limit, self.graphs = limit, graphs
        self._free: list[RecordedLoop] = []
        self._lock = threading.Lock()

    def take(self, kind: type[RecordedLoop], shape: Hashable) -> Any:
        """A loop of this kind and shape that nobody else uses."""
        if not recording(shape.device):  # a loop in the caller's graph belongs to it: nobody else may use its memory
            with self._lock:
                for n in reversed(range(len(self._free))):
                    if type(self._free[n]) is kind and self._free[n].shape == shape:
                        return self._free.pop(n)
        with torch.inference_mode(False):  # a buffer made in inference mode could never be written outside it again
            return kind(shape)

    def give_back(self, loop: RecordedLoop) -> None:
        """The caller is done with a loop and with what its buffers hold."""
        device = loop.shape.device
        if recording(device):
            return
        limit = self.limit
        if limit is None:
            memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 1 << 30
            limit = memory // 4
        with self._lock:
            self._free.append(loop)
            while len(self._free) > 1 and sum(kept.bytes for kept in self._free) > limit:
                self._free.pop(0)

    def clear(self) -> None:
        """Forget all loops that are not in use."""
        with self._lock:
            self._free.clear()


LOOPS = Loops(graphs=os.environ.get("RNNGEN_CUDA_GRAPHS") != "0")


def recording(device: torch.device) -> bool:
    """Whether the caller is recording a CUDA graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
