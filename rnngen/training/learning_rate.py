"""The learning rate of one minibatch.

A parameter group of an optimiser may say how its rate depends on the number of sequences in a minibatch:
`batch_size`, for which its `initial_lr` holds, and `rate_power`. SGD with the power 1 moves the weights by the *sum* of
the sequences' steps, whatever their number; RMSProp with 1/2 keeps the deviation of its steps. Without the two keys
every minibatch has the same rate.
"""

import torch


def set_learning_rate(optimiser: torch.optim.Optimizer, factor: float, sequences: int) -> None:
    """Set the rate of an update with the mean gradient of `sequences` sequences; `factor` is the schedule's.

    The last minibatches of an epoch may hold fewer sequences than the others. With the rate of a full one, a single
    sequence would be learned from as if it were `batch_size` of them.
    """
    for group in optimiser.param_groups:
        rate = factor * group.setdefault("initial_lr", group["lr"])
        if power := group.get("rate_power", 0.0):
            rate *= (sequences / group["batch_size"]) ** power
        group["lr"] = rate
