"""Measure a training step of each network with hand-written back-propagation and with autograd.

    python benchmarks/backprop.py [--batch 4] [--rounds 7] [--threads 2]

One step without its optimiser (forward, loss, every parameter's gradient), 224x224, float32, CPU.
Both take turns in one process, so that both see the same machine; medians. Memory is the most that
the step's tensors take at once. `cxr verify-backprop` shows that both compute the same.
"""

import argparse

import torch

from training.backprop_proofs.networks import NETWORKS
from training.backprop_proofs.proofs import costs, random_films

IMAGE_SIZE = (224, 224)
CLASSES = 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    films = random_films(
        batch=arguments.batch, image_size=IMAGE_SIZE, classes=CLASSES, dtype=torch.float32
    )
    print("| network | batch | by hand, ms | autograd, ms | time ratio | memory ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, built in NETWORKS.items():
        hand, autograd = costs(built(CLASSES).train(), films, rounds=arguments.rounds)
        print(
            f"| {name} | {arguments.batch} | {1e3 * hand.seconds:.0f} "
            f"| {1e3 * autograd.seconds:.0f} | {hand.seconds / autograd.seconds:.2f} "
            f"| {hand.bytes / autograd.bytes:.2f} |"
        )


if __name__ == "__main__":
    main()
