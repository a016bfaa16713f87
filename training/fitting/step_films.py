"""Choose the films of each training step, and those of them that this process trains on."""

from dataclasses import dataclass

from torch.utils.data import DataLoader

from training.data.dataset import LabelledFilm
from training.data.sampling import epoch_order
from training.fitting.subset import Films
from training.step.distributed import Processes
from training.step.mixup import Mixture
from training.training_config import TrainingConfig


@dataclass(frozen=True)
class StepFilms:
    """The films of a run's steps.

    A step has the same films however many processes train. They are divided into passes through
    the network, of which each process makes as many as the others.

    Attributes:
        films: The run's training films.
        config: Of the run.
        processes: Those that train together.
        pin_memory: True where batches go to a GPU.
    """

    films: Films
    config: TrainingConfig
    processes: Processes
    pin_memory: bool = False

    @property
    def per_step(self) -> int:
        """Films of a step; the last step of an epoch may have fewer."""
        return self.config.batch_size * self.config.grad_accum_steps

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch."""
        return -(-len(self.films) // self.per_step)

    def batches(self, epoch: int) -> DataLoader[LabelledFilm]:
        """Return the films that this process reads, one batch for each step of an epoch."""
        self.films.epoch = epoch
        order = epoch_order(
            self.films.targets,
            self.films.sources,
            sampling=self.config.sampling.by,
            at_most=self.config.sampling.at_most,
            seed=self.config.seed,
            epoch=epoch,
        )
        size = self.per_step
        steps = [order[start : start + size] for start in range(0, len(order), size)]
        return DataLoader(
            self.films,
            batch_sampler=[[films[place] for place in self._read(len(films))] for films in steps],
            num_workers=self.config.workers,
            pin_memory=self.pin_memory,
        )

    def own_passes(self, step: int, read: Mixture) -> list[Mixture]:
        """Return the films of each pass that this process makes in a step.

        Args:
            step: From 0, counted over all epochs.
            read: The step's batch from `batches`, mixed.
        """
        before = step % self.steps_per_epoch * self.per_step
        films = min(self.per_step, len(self.films) - before)
        start = self._read(films).start
        passes = self._passes(films)
        return [read.slice(range(own.start - start, own.stop - start)) for own in passes]

    def _read(self, films: int) -> range:
        """Return the places in a step that this process reads: with mixup all, to mix with any."""
        if self.config.gradients.mixup:
            return range(films)
        first, last = (self._passes(films)[place] for place in (0, -1))
        return range(first.start, max(last.stop, first.start + 1))

    def _passes(self, films: int) -> list[range]:
        return self.processes.passes(films, self.config.grad_accum_steps)
