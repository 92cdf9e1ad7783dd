"""Time loops recorded as CUDA graphs, and their buffers kept between calls.

A step of a recurrent layer is a small product and a small kernel, and launching them takes the processor longer than
computing them takes the GPU. So a loop over time is recorded once and replayed, which takes the launches off the
processor's hands. A graph fixes its shapes and its memory. So each shape has a loop object of its own, with buffers for
everything that the loop reads and writes; they hold T up to a power of two (`room`), and shorter sequences use the
front of them. A graph stands for one T, rounded up to a few values (`bucket`) so that there are few.

Inside a caller's own recording (`torch.cuda.graph`, or `recorded` below) the launches join that graph; without CUDA, or
with RNNGEN_CUDA_GRAPHS=0 in the environment, they are simply made.
"""

import gc
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

ALIGNED = 16
"""Sizes of products are rounded up to this: cuBLAS wants rows of 16 bytes for the matrix units."""


def align(size: int) -> int:
    """`size` rounded up for the matrix units."""
    return -(-size // ALIGNED) * ALIGNED


def bucket(steps: int) -> int:
    """`steps` rounded up to one of sixteen values an octave: at most 1/16 more, or 3."""
    grain = max(4, 1 << max(0, steps.bit_length() - 5))
    return -(-steps // grain) * grain


def room(steps: int) -> int:
    """Steps that the buffers for `steps` hold, a power of two.

    With buffers for each T, the lines of handwriting alone would fill a quarter of a card and be recorded again and
    again; the few powers of two that occur always fit.
    """
    return max(4, 1 << (steps - 1).bit_length())


class RecordedLoop:
    """A forward and a backward loop over buffers that stay where they are; subclasses make both.

    `shape` is everything that the buffers depend on, and has a `device`. Columns that stand for no cell are zero from
    the start and stay so, whatever T. `overwritten` are the buffers that a loop both reads from outside and writes.
    """

    overwritten: list[Tensor]

    def __init__(self, shape: Any) -> None:
        self.shape = shape
        self.graphs: dict[tuple[str, int], torch.cuda.CUDAGraph] = {}

    def forward(self, steps: int) -> None:
        raise NotImplementedError

    def backward(self, steps: int) -> None:
        raise NotImplementedError

    @property
    def bytes(self) -> int:
        return sum(x.numel() * x.element_size() for x in vars(self).values() if isinstance(x, Tensor))

    def run(self, name: str, steps: int) -> None:
        """The loop `name`, "forward" or "backward", over the first `steps` steps of the buffers as they stand."""
        steps = bucket(steps)
        loop = partial(getattr(self, name), steps)
        if not LOOPS.graphs or self.shape.device.type != "cuda" or is_recording(self.shape.device):
            loop()
            return
        if (name, steps) not in self.graphs:
            kept = [x.clone() for x in self.overwritten]
            loop()  # compiles the kernels and makes cuBLAS's handle, neither of which can be done while recording
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                loop()
            for x, before in zip(self.overwritten, kept, strict=True):
                x.copy_(before)
            self.graphs[name, steps] = graph
        self.graphs[name, steps].replay()


def record(step: Callable[..., tuple[Tensor, ...]], *like: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    """`step`, tensors in and tensors out, as a CUDA graph for arguments of the shapes of `like`; elsewhere as it is.

    It must not wait for the device. What else it reads stays where it was, results are the caller's own.
    """
    if like[0].device.type != "cuda" or not LOOPS.graphs:
        return step
    arguments = [x.clone() for x in like]
    step(*arguments)  # on the stream of all else: the loops that it makes are everybody's, see `RecordedLoop.run`
    gc.collect()  # a dead graph of autograd's would tie the weights' nodes to that stream, which cannot be recorded
    graph, others = torch.cuda.CUDAGraph(), len(LOOPS.joined)
    with torch.cuda.graph(graph):
        results = step(*arguments)
    loops = LOOPS.joined[others:]
    del LOOPS.joined[others:]

    def replay(*tensors: Tensor, _alive: Any = loops) -> tuple[Tensor, ...]:
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
        self.joined: list[RecordedLoop] = []
        """Loops in a caller's graph. It has their addresses, so nobody else gets them, and they live on."""
        self._lock = threading.Lock()

    def take(self, kind: type[RecordedLoop], shape: Any) -> Any:
        """A loop of this kind and shape that nobody else uses."""
        with self._lock:
            matching = [n for n, loop in enumerate(self._free) if type(loop) is kind and loop.shape == shape]
            loop = self._free.pop(matching[-1]) if matching else None
        if loop is None:
            with torch.inference_mode(False):  # a buffer made in inference mode could never be written outside it again
                loop = kind(shape)
        if is_recording(shape.device):
            self.joined.append(loop)
        return loop

    def give_back(self, loop: RecordedLoop) -> None:
        """The caller is done with a loop and with what its buffers hold."""
        device = loop.shape.device
        if is_recording(device):
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


def is_recording(device: torch.device) -> bool:
    """Whether the caller is recording a CUDA graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
