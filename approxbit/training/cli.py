"""`approxbit train`: runs the recipes, which are LightningCLI files."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from approxbit.backbones.feature import Feature
from approxbit.configuration import Configuration
from approxbit.training.checkpoints import last_checkpoint
from approxbit.training.codec_module import CodecModule
from approxbit.training.data import ClipData
from approxbit.training.features import FeatureData
from approxbit.trust import trust

_HARMLESS = (
    "LightningCLI's args parameter",  # it suspects that the command line is read twice; it is read here only
    r"\s*By default only one Jsonargparse",  # Lightning 2.6 uses names that jsonargparse is about to drop
    r"(?s).*was deprecated in v4\.\d+\.\d+ and will be removed in v5",
)

_ADVICE = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning 2.6 uses a name of torch's that is about to go
    r".*in eval mode at the start of training",  # frozen halves are
    r".*does not have many workers",
)
_ADVERTISEMENT = re.compile(r".*(litlogger|litmodels|`weights_only` was not set)")

# What jsonargparse makes of anything that a constructor raises: a sentence on types.
_HIDES_THE_CAUSE = "Does not validate against any of the Union subtypes"

_NO_CAUSE = re.compile(
    rf"\s*({_HIDES_THE_CAUSE}|Subtypes: |Errors:|Given value|- Expected a <class '(NoneType|str)'>$)"
)


class TrainingCLI(LightningCLI):
    """LightningCLI with what all recipes share.

    Beside `model`, `data` and `trainer`, a recipe may hold:

    - `configurations`: train one codec after another; `model.configuration` is filled in.
    - `trust`: packages whose code the cards of families may name, such as `my_package`.
    - `cache_features`: compute the frozen edge half's features once, instead of once an epoch; they
      are kept in the cache folder.
    """

    def before_instantiate_classes(self) -> None:
        """Logs go beside the checkpoints, as a table and for TensorBoard, unless a recipe differs."""
        trust(*self.config.trust)
        trainer = self.config.trainer
        if trainer.logger is None:
            root = trainer.default_root_dir or "runs"
            # Each start gets a version of its own, so that a resumed training keeps its earlier logs.
            trainer.logger = [
                Namespace(
                    class_path=f"lightning.pytorch.loggers.{kind}",
                    init_args=Namespace(save_dir=root, name=name),
                )
                for kind, name in (("CSVLogger", "csv"), ("TensorBoardLogger", "tensorboard"))
            ]

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options that stand beside Lightning's own."""
        parser.add_argument("--configurations", type=list[str], default=[])
        parser.add_argument("--trust", type=list[str], default=[])
        parser.add_argument("--cache_features", type=bool, default=False)
        parser.add_argument("--threads", type=int | None, default=None)


def read_recipe(arguments: Sequence[str], instantiate: bool = True) -> TrainingCLI:
    """A recipe and the overrides behind it, parsed; with `instantiate`, model, data and trainer are built.

    Args:
        arguments: As on the command line: `--config FILE`, then overrides such as `--trainer.max_steps 10`.
        instantiate: Whether to build what the recipe describes.

    Raises:
        ValueError: The recipe does not parse; the message has the lines of jsonargparse that say why.
        Exception: Whatever stopped model or data from being built.
    """
    kind = TrainingCLI if instantiate else _ParsedCLI
    with warnings.catch_warnings():
        for harmless in _HARMLESS:
            warnings.filterwarnings("ignore", message=harmless)
        try:
            return kind(
                model_class=L.LightningModule,
                datamodule_class=L.LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                save_config_callback=None,
                parser_kwargs={"exit_on_error": False},
                args=list(arguments),
                run=False,
            )
        except ArgumentError as error:
            raise ValueError(_why_not(str(error))) from None
        except ValueError as error:
            if error.__cause__ is None or not str(error).startswith(_HIDES_THE_CAUSE):
                raise
            raise error.__cause__ from None


def _why_not(message: str) -> str:
    """What jsonargparse says of a recipe, without the types that it tried and the values that it found."""
    lines = [line for line in message.splitlines() if not _NO_CAUSE.match(line)]
    return "the recipe does not parse:\n" + "\n".join(lines)


class _ParsedCLI(TrainingCLI):
    def instantiate_classes(self) -> None:
        """Stop before anything is built."""


def parse_recipe(path: str | Path) -> Any:
    """The configuration in a recipe, every name and type in it checked; nothing is built.

    Raises:
        ValueError: The recipe does not parse.
    """
    return read_recipe(["--config", str(path)], instantiate=False).config


def main(arguments: Sequence[str]) -> None:
    """Run a recipe, or go on with it where it was interrupted.

    Lightning's checkpoints lie in the trainer's `default_root_dir`, one folder for each configuration;
    a codec that has its card there already is done and is not trained again.
    """
    parsed = read_recipe(arguments, instantiate=False).config
    if parsed.threads:
        torch.set_num_threads(parsed.threads)
    if not parsed.configurations:
        _fit(read_recipe(arguments))
        return
    features: dict[str, FeatureData] = {}
    for name in parsed.configurations:
        point = Configuration.parse(name).offload_point
        root = Path(parsed.trainer.default_root_dir or "runs") / name
        if (root / "done").exists():
            continue
        overrides = [f"--model.init_args.configuration={name}", f"--trainer.default_root_dir={root}"]
        cli = read_recipe([*arguments, *overrides])
        found = _fit(cli, features.get(point))
        features = {point: found} if found else {}
        if cli.trainer.is_global_zero:  # which may be the only one that has released it
            (root / "done").touch()


def _fit(cli: TrainingCLI, features: FeatureData | None = None) -> FeatureData | None:
    """Train from the last checkpoint on; gives back cached features for the next configuration."""
    data = cli.datamodule
    if cli.config.cache_features:
        if not isinstance(cli.model, CodecModule):
            raise ValueError("cache_features needs a CodecModule, whose edge half is frozen")
        data = features or _compute_features(cli.model.to(cli.trainer.strategy.root_device), data)
    last = last_checkpoint(cli.trainer.default_root_dir)
    resume = str(last) if last.exists() else None
    _silence_advice()
    try:
        cli.trainer.fit(cli.model, datamodule=data, ckpt_path=resume, weights_only=True)
    except MisconfigurationException as error:  # such as fewer epochs than are done already
        raise ValueError(str(error)) from error
    if cli.trainer.interrupted:
        raise KeyboardInterrupt
    return data if cli.config.cache_features else None


def _silence_advice() -> None:
    """Keep back what Lightning tells developers and sells to users, so that what matters is read."""
    for advice in _ADVICE:
        warnings.filterwarnings("ignore", message=advice)
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    logger.addFilter(_is_no_advertisement)  # once, however many codecs a recipe trains


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return not _ADVERTISEMENT.match(record.getMessage())


def _compute_features(module: CodecModule, data: ClipData) -> FeatureData:
    def edge(clip: Tensor) -> Feature:
        return module.compute_feature(clip.to(module.device))

    return FeatureData(data, module.model, edge, data.batch_size)
