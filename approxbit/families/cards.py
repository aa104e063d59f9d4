"""What is known about a file of weights: its release card, JSON beside the safetensors file."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Mapping, Optional, Sequence, Type, TypeVar, Union

from approxbit.configuration import Configuration
from approxbit.errors import WeightsError
from approxbit.files import load_json, save_json
from approxbit.tasks import Task


def _today() -> str:
    return datetime.date.today().isoformat()


@dataclass(frozen=True)
class WeightsRecord:
    """What a file of weights must hold.

    Attributes:
        sha256: Of the whole file, 64 hexadecimal digits.
        fingerprint: Of its content, 16 hexadecimal digits: see `approxbit.zoo.compute_fingerprint`.
        shapes: Tensor name -> shape.
    """

    sha256: str
    fingerprint: str
    shapes: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class DataRecord:
    """Which clips weights were made with. It names a source of clips, and holds no code.

    Attributes:
        source: A short name such as `folders`, or `package.module:attribute` of a package that the reader
            must trust before anything of it is imported.
        arguments: Keyword arguments that make the source again. Paths are as they were given.
    """

    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Provenance:
    """How weights were made, and how good they are.

    Attributes:
        recipe: Path of the recipe, from the top of the repository.
        command: The command line that makes them again.
        seed: What the random numbers started from; None if nothing was random.
        metrics: Name -> value. A figure of the task is in percent, and one of a nested codec has the name of
            its configuration before it.
        split: Of the data, whose clips the metrics were measured on, such as `test`; empty if not known.
        date: Day of the measurement, ISO 8601.
        machine: Kind of machine, never its name; `approxbit.zoo` says it of the one that saves.
        license: SPDX identifier.
        data: The clips; None if they are not known.
        checkpoint_sha256: Of the file that the weights were imported from, 64 hexadecimal digits; empty if
            they were made here.
    """

    recipe: str = ""
    command: str = ""
    seed: Optional[int] = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    split: str = ""
    date: str = field(default_factory=_today)
    machine: str = ""
    license: str = "Apache-2.0"
    data: Optional[DataRecord] = None
    checkpoint_sha256: str = ""


@dataclass(frozen=True)
class BackboneCard:
    """The card of a frozen backbone, `<family>/backbone.json`.

    Attributes:
        name: The family, such as `digits-movinet`.
        builder: Key of `approxbit.zoo.BUILDERS`, or an import path such as `my_package.models:make`, which
            is followed only into packages that the user trusts.
        arguments: Keyword arguments of the builder.
        task: What its answer means.
        weights: What the weights file must hold.
        provenance: How it was made.
    """

    kind: ClassVar[str] = "backbone"
    name: str
    builder: str
    arguments: Mapping[str, Any]
    task: Task
    weights: WeightsRecord
    provenance: Provenance


@dataclass(frozen=True)
class CodecCard:
    """The card of a codec, `<family>/<configuration>.json`.

    Attributes:
        name: Family and configuration, such as `digits-movinet/16-Enc-B5`.
        backbone: The family whose backbone it was trained for.
        backbone_fingerprint: Of that backbone's weights, 16 hexadecimal digits.
        arguments: Of `CodecOptions`, those that were not left to their defaults.
        asked: The label set of the backbone's task that it was trained to answer in; empty for a task that
            has none.
        weights: What the weights file must hold.
        provenance: How it was made.
    """

    kind: ClassVar[str] = "codec"
    name: str
    backbone: str
    backbone_fingerprint: str
    arguments: Mapping[str, Any]
    asked: str
    weights: WeightsRecord
    provenance: Provenance

    @property
    def configuration(self) -> Configuration:
        """The second half of the name."""
        return Configuration.parse(self.name.partition("/")[2])


Card = Union[BackboneCard, CodecCard]
AnyCard = TypeVar("AnyCard", BackboneCard, CodecCard)


def save_card(path: Path, card: Card) -> None:
    """Write a card as JSON, all of it or nothing; the inverse of `load_card`."""
    save_json(path, card, {"kind": card.kind})


def load_card(path: Path, name: str, card_type: Type[AnyCard]) -> AnyCard:
    """Read the card of the backbone or codec called `name`.

    Raises:
        WeightsError: The file cannot be read, is no card, or is that of something else. The message names
            the entry.
    """
    card = load_json(path, card_type, WeightsError, {"kind": card_type.kind})
    if card.name != name:
        raise WeightsError(f"{path}: name: expected {name!r}, found {card.name!r}")
    return card
