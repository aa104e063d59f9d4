"""From a card to its module, built so that a broken or hostile card costs a sentence and no memory.

    file -> SHA-256, shapes as in the card -> module on the meta device -> names, shapes, dtypes -> weights

A module of ours gets its weights on the meta device, where it was built. Code of a package that the user
trusts is built there too, to compare its shapes with the file, and then once more for real: `split` compares
the halves of a model with the whole on a real example, and a trace keeps tensors that no file of weights has.
Where such code does not run on the meta device at all, it is built for real at once.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from approxbit.backbones.base import Backbone
from approxbit.errors import UntrustedError, WeightsError
from approxbit.families.cards import BackboneCard
from approxbit.trust import is_import_path
from approxbit.zoo.builders import build_backbone, build_on_meta, check_backbone
from approxbit.zoo.weights import check_fit, fill

MAX_SHOWN = 1000  # characters of what stopped a builder

Module = TypeVar("Module", bound=nn.Module)


@contextmanager
def blaming(path: Path, entry: str) -> Iterator[None]:
    """Whatever is raised inside becomes a `WeightsError` that names the card.

    Raises:
        UntrustedError: As it was raised, with the card's name.
        WeightsError: Anything else was raised.
    """
    try:
        yield
    except UntrustedError as error:
        raise UntrustedError(f"{path}: {entry}: {error}") from error
    except WeightsError:
        raise
    except (Exception, SystemExit) as error:
        shown = "".join(traceback.format_exception_only(error)).strip().removeprefix("ValueError: ")
        raise WeightsError(f"{path}: {entry}: {shown[:MAX_SHOWN]}") from error


def sketch_of_card(path: Path, card: BackboneCard) -> Backbone:
    """The backbone of a card without its weights, on the meta device where that works.

    Raises:
        UntrustedError: The card names code of a package that is not trusted.
        WeightsError: The card makes no backbone, or not one for its task.
    """
    return _build(path, card, build_on_meta)


def restore_backbone(path: Path, card: BackboneCard, tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone of a card with its weights, on the CPU.

    Raises:
        UntrustedError: The card names code of a package that is not trusted.
        WeightsError: The card makes no backbone, or the tensors are not its.
    """
    sketch, again = sketch_of_card(path, card), partial(_build, path, card, build_backbone)
    check_fit(path.with_suffix(".safetensors"), sketch, tensors)
    is_enough = not is_import_path(card.builder) and not _has_tensors_beside_its_state(sketch)
    backbone = sketch if is_enough or not _is_on_meta(sketch) else again()
    fill(path.with_suffix(".safetensors"), backbone, tensors)
    return backbone


def restore(path: Path, entry: str, make: Callable[[], Module], tensors: Mapping[str, Tensor]) -> Module:
    """Any other module of ours with its weights, on the CPU. All its tensors are in its state.

    Raises:
        WeightsError: `make` raises whatever, or the tensors are not those of what it makes.
    """
    with blaming(path, entry), torch.device("meta"):
        module = make()
    fill(path.with_suffix(".safetensors"), module, tensors)
    return module.eval()


def _build(path: Path, card: BackboneCard, build: Callable[..., Backbone]) -> Backbone:
    with blaming(path, "builder and arguments"):
        backbone = build(card.builder, card.arguments)
        check_backbone(backbone)
        card.task.check_model(backbone.num_classes)
    return backbone


def _is_on_meta(module: nn.Module) -> bool:
    return any(tensor.is_meta for tensor in chain(module.parameters(), module.buffers()))


def _has_tensors_beside_its_state(module: nn.Module) -> bool:
    return bool({name for name, _ in module.named_buffers()} - set(module.state_dict()))
