"""From settings and a corpus to the objects of a training or an evaluation."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from pipeline._settings import Reading, Settings
from rnngen.cells.backends import backend_named
from rnngen.cells.c_kernels import load_fitting_gates
from rnngen.cells.matmul import keep_programs_for
from rnngen.corpora.handwriting.lines import HandwritingBatches, load_handwriting
from rnngen.corpora.sequences import ChunkBatches, SentenceBatches
from rnngen.corpora.treebank import END, Treebank, load_treebank
from rnngen.corpora.wikipedia.byte_stream import ByteCorpus, load_wikipedia
from rnngen.errors import InputError
from rnngen.freed_memory import give_back_freed_memory, keep_large_buffers_apart
from rnngen.losses.bits_per_character import (
    bits_per_character_from_words,
    perplexity_from_characters,
    perplexity_of_words,
)
from rnngen.models.checkpoint import AWAY
from rnngen.networks import Network, PredictionNetwork, SynthesisNetwork
from rnngen.sampling.text import utf8
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.contracts import B, Batches, Carried, Noise, Objective
from rnngen.training.data_parallel import Ranks
from rnngen.training.loop import Progress, Schedule, not_finite, train
from rnngen.training.objectives import NextPoint, NextPointGivenText, NextSymbol
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.sgd import GravesSGD
from rnngen.training.weight_noise import WeightNoise

AnyNetwork = TypeVar("AnyNetwork", PredictionNetwork, SynthesisNetwork)
LARGEST_IN_MEMORY = 16_000_000
"""Bytes of a text that are read into memory; a longer one is copied to a file beside its corpus and mapped."""


class TextData:
    """A text corpus as a network sees it: batches of its splits, its alphabet, and what its numbers mean."""

    EVALUATED_AT_ONCE = 32
    """Sentences, or streams of bytes."""

    def __init__(self, settings: Reading, corpus: Path) -> None:
        if settings["unit"] is None:
            raise InputError(f"unit null of {settings['experiment']}: a text is read by byte, character or word")
        self.unit = settings["unit"]
        self.seed = settings["seed"]
        self.training = settings["training"]
        options = {key: value for key, value in settings["corpus"].items() if key != "name"}
        self.source: ByteCorpus | Treebank
        if self.unit == "byte":
            large = options["train_bytes"] + options["validation_bytes"] > LARGEST_IN_MEMORY
            self.source = load_wikipedia(corpus, **options, cache=corpus.parent if large else None)
            self.reported = "validation"
            self.rule = f"bytes of the dump, {len(self.source.alphabet)} distinct; state reset every "
            self.rule += f"{self.training['reset_every']} chunks of {self.training['chunk']}"
        else:
            self.source = load_treebank(corpus, self.unit, **options)
            self.reported = "test"
            self.rule = self.source.rule
        self.summary = self.rule
        self.alphabet = self.source.alphabet
        self.symbols = len(self.alphabet)

    def batches(
        self, split: str, batch_size: int, shuffle: bool = False, device: torch.device | str = "cpu"
    ) -> ChunkBatches | SentenceBatches:
        """Batches of `train`, `validation` or (treebank) `test`; document order when `batch_size` is 1."""
        device = torch.device(device)
        if isinstance(self.source, ByteCorpus):
            chunk, reset_every = self.training["chunk"], self.training["reset_every"]
            symbols, table = self.source.split(split), self.source.table
            return ChunkBatches(
                symbols, batch_size, chunk=chunk, reset_every=reset_every, table=table,
                device=None if device.type == "cpu" else device,  # on the host it may be a memory map
            )  # fmt: skip
        if split not in self.source.sequences:
            raise InputError(f"split {split!r} of a treebank: there are {', '.join(self.source.sequences)}")
        sequences = self.source.sequences[split]
        return SentenceBatches(sequences, batch_size, seed=self.seed, shuffle=shuffle, device=device)

    def names(self, codes: Tensor) -> list[str]:
        """The symbols (n,) as they are shown one by one."""
        return self.alphabet.decode(codes.tolist())

    def encode(self, text: str) -> list[int]:
        """Symbols of a text that a network is to read first."""
        return self.source.encode(text).tolist()

    def text(self, codes: Iterable[int]) -> Iterator[str]:
        """Symbols as text, piece by piece as they come."""
        if isinstance(self.source, ByteCorpus):
            yield from utf8(bytes([self.source.bytes[code]]) for code in codes)
        else:
            space = " " if self.unit == "word" else ""
            for code in codes:
                symbol = self.alphabet.symbols[code]
                yield symbol if symbol == END else symbol + space

    def codes(self, split: str) -> np.ndarray:
        """All symbols of a split, (n,)."""
        return self.source.split(split) if isinstance(self.source, ByteCorpus) else self.source.sequences[split].symbols

    def characters(self, split: str) -> int:
        """Characters of a split as in the file: what bits per character are divided by."""
        return len(self.codes(split)) if isinstance(self.source, ByteCorpus) else self.source.characters[split]

    def as_bytes(self, split: str) -> bytes:
        """A split as a compressor reads it."""
        if isinstance(self.source, ByteCorpus):
            return self.source.split(split).tobytes()
        return "".join(self.text(self.codes(split))).encode()

    def measures(self, found: dict[str, float], split: str) -> dict[str, float]:
        """Bits per symbol and error rate as the paper reports them.

        Per character: total bits over the characters of the split as they are in the file, whatever the symbols.
        """
        per_symbol = found["bits_per_symbol"]
        symbols = len(self.codes(split))
        result = {
            "bits_per_symbol": per_symbol,
            "error_percent": 100 * found["error_rate"],
            "nats_per_sequence": found["loss"],
        }
        if isinstance(self.source, ByteCorpus):
            return result | {"bits_per_character": per_symbol}
        words, characters = self.source.words[split], self.source.characters[split]
        total = per_symbol * symbols
        if self.unit == "character":
            per_character = total / characters
            paper = perplexity_from_characters(per_character)
        else:
            per_character = bits_per_character_from_words(total / words)
            paper = perplexity_of_words(total / words)
        return result | {
            "bits_per_character": per_character,
            "bits_per_character_exact": total / characters,
            "perplexity_paper": paper,
            "perplexity_exact": perplexity_of_words(total / words),
        }

    def describe(self) -> dict[str, Any]:
        """What a model directory has to remember of the corpus."""
        return {"alphabet": self.alphabet.as_json(), "rule": self.rule}


class PenData:
    """A corpus of handwriting as a network sees it."""

    EVALUATED_AT_ONCE = 8
    """Lines. 32 of the paper's would take 400 MB more for a sixth less time."""

    def __init__(self, settings: Settings, corpus: Path) -> None:
        self.seed = settings["seed"]
        self.maximum_points = settings["training"].get("maximum_points")
        self.source = load_handwriting(corpus, **{k: v for k, v in settings["corpus"].items() if k != "name"})
        self.unit = "point"
        every = self.source.normaliser.every
        self.rule = f"{len(self.source.validation)} validation lines, nats in units of the training lines' deviation "
        self.rule += f"({', '.join(f'{d:.2f}' for d in self.source.normaliser.deviation)} of the corpus's units)"
        self.rule += f", every {every} points" if every > 1 else ""
        self.summary = f"{self.rule}\n{summarise_cleaning(self.source.statistics)}"

    def batches(
        self, split: str, batch_size: int, shuffle: bool = False, device: torch.device | str = "cpu"
    ) -> HandwritingBatches:
        """Batches of `train` or `validation`; the order of the corpus when `batch_size` is 1."""
        if split not in ("train", "validation"):
            raise InputError(f"--split {split}: a corpus of handwriting has train and validation")
        lines = self.source.training if split == "train" else self.source.validation
        return HandwritingBatches(
            lines, batch_size, seed=self.seed, shuffle=shuffle, maximum_points=self.maximum_points, device=device
        )

    def describe(self) -> dict[str, Any]:
        """What a model directory has to remember of the corpus."""
        return {
            "alphabet": self.source.alphabet.as_json(),
            "normaliser": self.source.normaliser.as_json(),
            "rule": self.rule,
        }


def summarise_cleaning(statistics: dict[str, Any]) -> str:
    """What cleaning left of the training lines, and what it did to the units of the loss."""
    with_, without = (
        "({:.2f}, {:.2f}) ± ({:.2f}, {:.2f})".format(*statistics[f"mean{suffix}"], *statistics[f"deviation{suffix}"])
        for suffix in ("", "_without_cleaning")
    )
    training = statistics["training"]
    return (
        f"{training['lines']:,} training lines, {training['steps']:,} steps of {training['points']:,} points; offsets "
        f"{with_}, without cleaning {without}: {statistics['nats_per_line_from_units']:+.1f} nats per line by units"
    )


def build(network: type[AnyNetwork], **arguments: Any) -> AnyNetwork:
    """The network, if this machine can hold its weights, their gradients and the two moments of an optimiser."""
    with torch.device("meta"):
        weights = sum(p.numel() for p in network(**arguments | {"generator": None}).parameters())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 4 * 4 * weights > memory:
        raise InputError(
            f"a network of {weights:,} weights takes {16 * weights / 1e9:,.0f} GB to train and this machine has "
            f"{memory / 1e9:,.0f}; lower network.cells or network.layers"
        )
    return network(**arguments)


def backend_in_use(network: Network, name: str) -> str:
    """What computes the layers of cells for the back end `name`: `auto` and a missing compiler resolved."""
    chosen = backend_named(name, network.bias_output.device).__name__
    return "fused" if chosen == "compiled" and load_fitting_gates(network.bias_output) is None else chosen


def pen_objective(network: nn.Module, settings: Settings) -> NextPoint:
    """The objective of a prediction or synthesis network."""
    kind = NextPointGivenText if settings["kind"] == "synthesis" else NextPoint
    return kind(network, settings["training"].get("clip_output"))


def take_leading(batches: Batches[B], symbols: int) -> Iterator[B]:
    """The first batches, until they hold `symbols` symbols."""
    seen = 0
    for batch in batches.epoch(0):
        if seen >= symbols:
            return
        yield batch
        seen += batch.predictions


def device_of(name: str) -> torch.device:
    """The device a setting names; `auto` is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: cuda, but torch finds no CUDA device; set device: auto or cpu")
    return torch.device(name)


class Assembly:
    """Everything one training needs, made from its settings."""

    def __init__(self, settings: Settings, corpus: Path) -> None:
        self.settings = settings
        torch.set_num_threads(settings["threads"])
        keep_large_buffers_apart()
        training, network = settings["training"], settings["network"]
        keep_programs_for(training["batch_size"])
        self.device = device_of(settings["device"])
        if training.get("precision") == "bfloat16" and self.device.type == "cuda":
            # the output layer, which is not a layer of cells: operands of 10 bits, still more than bfloat16
            torch.backends.cuda.matmul.fp32_precision = "tf32"
            # cuBLAS would else add up parts of long sums, those over time and batch, in bfloat16
            torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        # noise is drawn where the weights are; on a GPU, then, in another order than on a CPU
        self.generator = torch.Generator(self.device).manual_seed(settings["seed"])
        common: dict[str, Any] = {
            "cells": network["cells"],
            "layers": network["layers"],
            "clip": training["clip_lstm"],
            "init_range": network.get("initial_range", 0.1),
            "backend": training.get("backend", "auto"),
            "precision": training.get("precision", "float32"),
            "generator": torch.Generator().manual_seed(settings["seed"]),
        }
        self.data: TextData | PenData
        self.network: Network
        self.objective: Objective[Any]  # of the batches of `data`
        if settings["kind"] == "text":
            text = self.data = TextData(settings, corpus)
            self.network = build(
                PredictionNetwork, input_size=text.symbols, output_size=text.symbols, symbols=True, **common
            )
            self.objective = NextSymbol(self.network)
        else:
            pen = self.data = PenData(settings, corpus)
            mixtures = network["mixtures"]
            if settings["kind"] == "prediction":
                self.network = build(PredictionNetwork, input_size=3, output_size=6 * mixtures + 1, **common)
            else:
                at_pace = network.get("window_bias", "none") == "points-per-character"
                self.network = build(
                    SynthesisNetwork,
                    alphabet_size=len(pen.source.alphabet),
                    window_components=network["window_components"],
                    mixtures=mixtures,
                    window_bias=-math.log(pen.source.points_per_character) if at_pace else None,
                    **common,
                )
            self.objective = pen_objective(self.network, settings)
        self.unit = self.data.unit
        give_back_freed_memory()
        self.network.to(self.device)
        self.backend = backend_in_use(self.network, common["backend"])
        batch = training["batch_size"]
        self.training_batches: Batches[Any] = self.data.batches("train", batch, shuffle=True, device=self.device)
        self.validation_batches: Batches[Any] = self.data.batches(
            "validation", self.data.EVALUATED_AT_ONCE, device=self.device
        )
        self.optimiser = make_optimiser(training["optimiser"], self.network.parameters(), batch)
        self.schedule = Schedule(
            maximum_epochs=training["maximum_epochs"],
            patience=training["patience"],
            maximum_updates=training.get("maximum_updates"),
            validate_every=training.get("validate_every"),
            decay=training["schedule"],
            warm_up=training.get("warm_up", 0),
        )
        self.noise = self.make_noise()

    def make_noise(self) -> Noise | None:
        named = dict(self.network.named_parameters())
        noise, deviation = self.settings["noise"], self.settings["standard_deviation"]
        if noise == "none":
            return None
        if deviation is None:
            raise InputError(f"noise {noise}: its standard_deviation is null; give it")
        if noise == "fixed":
            return WeightNoise(named, deviation)
        sequences = self.training_batches.sequences_per_epoch
        training = self.settings["training"]
        options = training.get("noise_optimiser", training["optimiser"])
        batch = training["batch_size"]
        return AdaptiveWeightNoise(
            named, deviation, sequences=sequences, optimiser=lambda p: make_optimiser(options, p, batch)
        )

    def validate(self) -> dict[str, float]:
        """Measures on the validation set under the stored (mean) weights."""
        return self.objective.evaluate(self.validation_batches.epoch(0))

    def training(
        self, progress: Progress, state: Carried = None, look_every: int = 1, ranks: Ranks | None = None
    ) -> Iterator[tuple[str, Any]]:
        """The events of `rnngen.training.loop.train` on these objects."""
        return train(
            self.objective,
            self.training_batches,
            self.validate,
            self.optimiser,
            self.schedule,
            progress,
            noise=self.noise,
            generator=self.generator,
            state=state,
            look_every=look_every,
            ranks=ranks,
        )

    def tensors(self, carried: Carried) -> dict[str, Any]:
        """All tensors that a resumed training needs; `carried` is the recurrent state between two chunks."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "noise": {} if self.noise is None else self.noise.state_dict(),
            "generator": self.generator.get_state(),
            "carried": carried,
        }

    def restore(self, tensors: dict[str, Any]) -> Carried:
        """Put back what `tensors` gave; returns the carried state."""
        self.network.load_state_dict(tensors["network"])
        self.optimiser.load_state_dict(tensors["optimiser"])
        if self.noise is not None:
            self.noise.load_state_dict(tensors["noise"])
        self.generator.set_state(tensors["generator"])
        if tensors["carried"] is None:  # sentences and lines of handwriting carry nothing
            return None
        return [(h.to(self.device), c.to(self.device)) for h, c in tensors["carried"]]

    def restore_or_refuse(self, tensors: dict[str, Any], where: Path) -> Carried:
        """`restore`, and an InputError for a state that does not fit: of a version with other optimisers or layers."""
        try:
            return self.restore(tensors)
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise InputError(f"{where}: a state of another version of this program ({error!r}); {AWAY}") from error

    def require_finite(self, progress: Progress) -> None:
        """NotFiniteError if a weight is NaN or infinite: such a state must not replace a good one."""
        parameters: dict[str, Tensor] = dict(self.network.named_parameters())
        if not all(torch.isfinite(p).all() for p in parameters.values()):
            raise not_finite("a weight", progress, parameters)

    def description(self) -> dict[str, Any]:
        """What a model directory says about its network and corpus."""
        return {"network": type(self.network).__name__, "arguments": self.network.arguments} | self.data.describe()


def make_optimiser(options: dict[str, Any], parameters: Iterable[Tensor], batch_size: int) -> torch.optim.Optimizer:
    """The optimiser that the settings name.

    With `per_sequence`, the learning rate is that of the paper's update after every single sequence. An update with the
    mean gradient of B sequences then takes lr · B (SGD: every sequence moves the weights as far as it does in the
    paper), or lr · √B (RMSProp, whose steps are in units of the gradient's deviation), B being their number in the
    current minibatch; momentum stays as it is. SGD stays on the paper's course only while lr · B is stable:
    docs/training.md has what was measured.
    """
    power = {"sgd": 1.0, "rmsprop": 0.5}[options["name"]] if options.get("per_sequence", False) else 0.0
    group = {"params": list(parameters), "batch_size": batch_size, "rate_power": power}
    rate = options["learning_rate"] * batch_size**power
    if options["name"] == "sgd":
        return GravesSGD([group], lr=rate, momentum=options.get("momentum", 0.0))
    constants = {key: options[key] for key in ("decay", "momentum", "damping") if key in options}
    return GravesRMSProp([group], lr=rate, **constants)
