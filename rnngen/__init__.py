"""Generating Sequences With Recurrent Neural Networks (Graves, 2013), as a library."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "AdaptiveWeightNoise": "training.adaptive_weight_noise",
    "GravesRMSProp": "training.rmsprop",
    "HandwritingModel": "models.handwriting_model",
    "MixtureDensity": "losses.mixture_density",
    "PeepholeLSTM": "cells.layer",
    "PredictionNetwork": "networks.prediction_network",
    "SynthesisNetwork": "networks.synthesis_network",
    "TextModel": "models.text_model",
    "WeightNoise": "training.weight_noise",
    "load_handwriting": "models.shipped",
    "load_network": "models.checkpoint",
    "save_network": "models.checkpoint",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    # on first use, so that programs that only parse or draw do not wait for torch
    if name not in _WHERE:
        raise AttributeError(f"module 'rnngen' has no attribute {name!r}")
    return getattr(import_module(f"rnngen.{_WHERE[name]}"), name)
