"""What the optimisers share: torch's compiler stays out of memory."""

import subprocess
import sys

SCRIPT = """
import sys
import torch
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.objectives import NextSymbol
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.sgd import GravesSGD
from rnngen.corpora.sequences import SentenceBatches, Sequences
from rnngen.training.loop import Progress, Schedule, train

batches = SentenceBatches(Sequences.of([torch.arange(n).numpy() % 5 for n in (3, 4, 5, 9)]), 2)
for make in (GravesRMSProp, lambda weights: GravesSGD(weights, lr=0.1, momentum=0.9)):
    objective = NextSymbol(PredictionNetwork(5, 6, 2, 5, symbols=True))
    weights = dict(objective.network.named_parameters())
    noise = AdaptiveWeightNoise(weights, sequences=4, optimiser=make)
    optimiser = make(weights.values())
    validate = lambda: objective.evaluate(batches.epoch(0))
    options = {"noise": noise, "generator": torch.Generator()}
    list(train(objective, batches, validate, optimiser, Schedule(1, 1), Progress(), **options))
    optimiser.load_state_dict(optimiser.state_dict())
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def test_a_training_does_not_import_the_compiler():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
