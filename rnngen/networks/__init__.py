"""The prediction network (eq 1–6) and the synthesis network (§5.1)."""

from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork

Network = PredictionNetwork | SynthesisNetwork
"""Either: both have `arguments`, `layers`, an output layer, and `step` beside the call."""

__all__ = ["Network", "PredictionNetwork", "SynthesisNetwork"]
