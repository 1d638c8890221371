"""Generators of pictures by other projects, each trained as its own project does it, for `quality` to set beside ours.

`pythae` 0.1.2 (VAE, arXiv:1312.6114; RHVAE, arXiv:2105.00026): its `BaseTrainer` with the settings of its published scripts (Adam, rate 1e-3, batches
of 100, 16 latents, cross-entropy for grey and squared error for coloured pictures) on the residual networks that it brings for such sizes; no labels.
Rows are drawn by its samplers: from N(0, 1), or from a mixture of ten Gaussians fitted to the latents.

`diffusers` (DDPM, arXiv:2006.11239): the loop of its tutorial (AdamW, gradients clipped at 1, noise predicted) on a `UNet2DModel` that knows the
class, with its batches of 16, the widths, rate and schedule that the course of the project takes for rows of this size, in bfloat16, and the moving
average of the training script (`EMAModel`); drawn by ten steps of DDIM (arXiv:2010.02502).
"""

import logging
import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from augmind.core.loop import autocast
from augmind.core.types import Data

CHUNK = 100
"""Rows that are drawn at once."""


class Over(Exception):
    """The time is up."""


@dataclass
class Clock:
    """Stops a training after so many seconds of the processor; it starts when what is needed has been imported."""

    seconds: float
    steps: int = 0
    started: float = 0.0

    def start(self) -> None:
        self.started = time.process_time()

    @property
    def spent(self) -> float:
        return time.process_time() - self.started

    def tick(self) -> bool:
        """Counts a step; whether there is time for another."""
        self.steps += 1
        return self.spent < self.seconds


@dataclass
class Peer(ABC):
    """A generator whose training is stopped by a clock; settings that matter to drawing alone are given to `draw`."""

    package: ClassVar[str]
    labels: ClassVar[bool]
    """Whether it draws rows of a class that is asked for."""

    @abstractmethod
    def fit(self, data: Data, clock: Clock, seed: int) -> None:
        """Learns from the rows, pixels in [-1, 1], until the clock is over."""

    @abstractmethod
    def draw(self, y: Tensor, seed: int, **settings: Any) -> Tensor:
        """Rows in model space, of these classes where it knows any."""


@dataclass
class Pythae(Peer):
    """What the models of pythae share."""

    package: ClassVar[str] = "pythae"
    labels: ClassVar[bool] = False

    latent: int = 16
    rate: float = 1e-3
    batch: int = 100

    @abstractmethod
    def model(self, given: dict[str, Any], networks: tuple[Any, Any]) -> Any:
        """The model with its encoder and decoder, which these classes make."""

    def fit(self, data: Data, clock: Clock, seed: int) -> None:
        logging.disable(logging.WARNING)
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
        from pythae.trainers.training_callbacks import TrainingCallback

        if data.spec.shape[0] == 1:
            from pythae.models.nn.benchmarks.mnist import Decoder_ResNet_AE_MNIST as Decoder
            from pythae.models.nn.benchmarks.mnist import Encoder_ResNet_VAE_MNIST as Encoder
        else:
            from pythae.models.nn.benchmarks.cifar import Decoder_ResNet_AE_CIFAR as Decoder
            from pythae.models.nn.benchmarks.cifar import Encoder_ResNet_VAE_CIFAR as Encoder

        class Watch(TrainingCallback):
            def on_train_step_end(self, training_config: Any, **kwargs: Any) -> None:
                if not clock.tick():
                    raise Over

        clock.start()
        torch.manual_seed(seed)
        self.rows_ = (data.spec.to_model(data.train.x) + 1) / 2
        loss = "bce" if data.spec.shape[0] == 1 else "mse"
        given = {"input_dim": data.spec.shape, "latent_dim": self.latent, "reconstruction_loss": loss}
        self.model_ = self.model(given, (Encoder, Decoder))
        with tempfile.TemporaryDirectory() as folder:
            config = BaseTrainerConfig(
                output_dir=folder, num_epochs=100_000, learning_rate=self.rate, per_device_train_batch_size=self.batch, no_cuda=True, seed=seed
            )
            trainer = BaseTrainer(self.model_, BaseDataset(self.rows_, data.train.y), training_config=config, callbacks=[Watch()])
            try:
                trainer.train()
            except Over:
                self.model_.eval()

    def draw(self, y: Tensor, seed: int, draw: str = "normal") -> Tensor:
        from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig, NormalSampler

        torch.manual_seed(seed)
        if draw == "normal":
            sampler: Any = NormalSampler(model=self.model_)
        else:
            sampler = GaussianMixtureSampler(model=self.model_, sampler_config=GaussianMixtureSamplerConfig(n_components=10))
            sampler.fit(self.rows_)
        return sampler.sample(num_samples=len(y), batch_size=CHUNK).detach() * 2 - 1


@dataclass
class PythaeVae(Pythae):
    """Its plain VAE."""

    def model(self, given: dict[str, Any], networks: tuple[Any, Any]) -> Any:
        from pythae.models import VAE, VAEConfig

        config = VAEConfig(**given)
        return VAE(config, encoder=networks[0](config), decoder=networks[1](config))


@dataclass
class PythaeRhvae(Pythae):
    """Its Hamiltonian VAE with a learnt metric, made for few rows."""

    def model(self, given: dict[str, Any], networks: tuple[Any, Any]) -> Any:
        from pythae.models import RHVAE, RHVAEConfig

        warmth = 0.8 if given["input_dim"][0] == 1 else 1.5
        config = RHVAEConfig(**given, n_lf=3, eps_lf=0.001, beta_zero=0.3, temperature=warmth, regularization=0.01)
        return RHVAE(config, encoder=networks[0](config), decoder=networks[1](config))


@dataclass
class Ddpm(Peer):
    """The denoising model of diffusers, told the class."""

    package: ClassVar[str] = "diffusers"
    labels: ClassVar[bool] = True

    rate: float = 1e-3
    batch: int = 16
    widths: tuple[int, ...] = (32, 64, 64)

    def fit(self, data: Data, clock: Clock, seed: int) -> None:
        from diffusers import DDPMScheduler, UNet2DModel
        from diffusers.training_utils import EMAModel
        from torch.utils.data import DataLoader, TensorDataset

        clock.start()
        torch.manual_seed(seed)
        self.shape_ = data.spec.shape
        self.net_ = UNet2DModel(
            sample_size=self.shape_[1:],
            in_channels=self.shape_[0],
            out_channels=self.shape_[0],
            layers_per_block=2,
            block_out_channels=self.widths,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            num_class_embeds=data.classes,
        )
        self.noise_ = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
        average = EMAModel(self.net_.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        adam = torch.optim.AdamW(self.net_.parameters(), lr=self.rate)
        rows = DataLoader(TensorDataset(data.spec.to_model(data.train.x), data.train.y), batch_size=self.batch, shuffle=True)
        try:
            while True:
                for x, y in rows:
                    self._step(x, y, adam)
                    average.step(self.net_.parameters())
                    if not clock.tick():
                        raise Over
        except Over:
            average.copy_to(self.net_.parameters())

    def _step(self, x: Tensor, y: Tensor, adam: torch.optim.Optimizer) -> None:
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (len(x),))
        with autocast(x.device):
            said = self.net_(self.noise_.add_noise(x, noise, t), t, y, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(said.float(), noise)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net_.parameters(), 1.0)
        adam.step()

    @torch.no_grad()
    def draw(self, y: Tensor, seed: int, points: int = 10) -> Tensor:
        from diffusers import DDIMScheduler

        solver: Any = DDIMScheduler.from_config(self.noise_.config)
        solver.set_timesteps(points)
        out, rng = [], torch.Generator().manual_seed(seed)
        for label in y.split(CHUNK):
            x = torch.randn(len(label), *self.shape_, generator=rng)
            for t in solver.timesteps:
                with autocast(x.device):
                    said = self.net_(x, t, label, return_dict=False)[0]
                x = solver.step(said.float(), t, x).prev_sample
            out.append(x)
        return torch.cat(out).clamp(-1, 1)


PEERS: dict[str, type[Peer]] = {"pythae_vae": PythaeVae, "pythae_rhvae": PythaeRhvae, "ddpm": Ddpm}
