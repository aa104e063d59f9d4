"""MViTv2 in plain products gives what torchvision's modules give."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torchvision.models.video.mvit import MultiscaleAttention, _add_rel_pos

from approxbit.backbones.mvitv2 import MViTv2
from approxbit.backbones.mvitv2_table import ARCHITECTURES
from approxbit.exporting.views import view_of
from approxbit.exporting.views.attention import RelativePositions, gather_table, one_hot_places

SHAPES = [(3, 4, 36, 36), (3, 2, 32, 32), (3, 6, 20, 44)]


@pytest.mark.parametrize("clip_shape", SHAPES)
@pytest.mark.parametrize("point", ["B1", "B2", "B3"])
@torch.inference_mode()
def test_the_views_agree_with_the_halves(
    point: str, clip_shape: tuple[int, int, int, int], small: ModuleType
) -> None:
    model = small.make_mvitv2(clip_shape)
    edge, server = model.edge_half(point), model.server_half(point)
    feature = edge(small.make_clips(model))
    found = view_of(edge, clip_shape)(small.make_clips(model))
    torch.testing.assert_close(found.grid, feature.grid, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.tokens, feature.tokens, rtol=0, atol=1e-5)
    answer = view_of(server, model.feature_shape(point))(feature)
    torch.testing.assert_close(answer, server(feature), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_clips_that_the_tables_were_not_made_for_are_interpolated_alike(small: ModuleType) -> None:
    model, clip_shape = small.make_mvitv2((3, 4, 36, 36)), (3, 8, 52, 28)
    edge, clip = model.edge_half("B3"), torch.randn(1, *clip_shape)
    torch.testing.assert_close(view_of(edge, clip_shape)(clip).grid, edge(clip).grid, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("query_size", "key_size"), [((2, 7, 5), (2, 4, 3)), ((1, 3, 4), (2, 6, 4))])
def test_extended_queries_times_extended_keys_hold_the_relative_positions(
    query_size: tuple[int, int, int], key_size: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    kernel, stride = [3, 3, 3], [1, 1, 1]
    attention = MultiscaleAttention(
        [2, 7, 5], 16, 16, 2, kernel, kernel, stride, stride, True, False, rel_pos_embed=True
    ).requires_grad_(False)
    for table in (attention.rel_pos_h, attention.rel_pos_w, attention.rel_pos_t):
        table.normal_()
    positions = RelativePositions(attention, query_size, key_size)
    queries = torch.randn(3, 2, 1 + positions.num_queries, 8)
    keys = torch.randn(3, 2, len(one_hot_places(key_size)), 8)
    tables = (attention.rel_pos_h, attention.rel_pos_w, attention.rel_pos_t)
    expected = _add_rel_pos(0.5 * queries @ keys.transpose(2, 3), queries, query_size, key_size, *tables)
    found = positions.extend_queries(queries, 0.5) @ positions.extend_keys(keys).transpose(2, 3)
    torch.testing.assert_close(found, expected)


def test_a_table_is_read_at_the_distance_of_query_and_key() -> None:
    table = torch.arange(5.0)[:, None]
    assert gather_table(table, 3, 3)[:, :, 0].tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]
    assert gather_table(table, 3, 1)[:, :, 0].tolist() == [[0], [1], [2]]


@torch.inference_mode()
def test_the_view_of_full_size_mvitv2_b_agrees(small: ModuleType) -> None:
    torch.manual_seed(0)
    shape = (3, 4, 64, 64)
    with torch.device("meta"):
        model = MViTv2(ARCHITECTURES["b"], 174, shape)
    model = small.shake(model.to_empty(device="cpu"))
    edge, server = model.edge_half("B8"), model.server_half("B8")
    clip = small.make_clips(model, 1)
    feature = edge(clip)
    torch.testing.assert_close(view_of(edge, shape)(clip).grid, feature.grid, rtol=0, atol=1e-4)
    answer = view_of(server, model.feature_shape("B8"))(feature)
    torch.testing.assert_close(answer, server(feature), rtol=0, atol=1e-4)
