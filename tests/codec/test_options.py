import pytest

from approxbit.codec import CodecOptions
from approxbit.codec.decoder import SelfAttention


def test_without_options_a_codec_has_the_widths_of_the_paper():
    options = CodecOptions()
    assert options.changed() == {}
    assert [options.hidden_channels_for(384, enc) for enc in (True, False)] == [192, 64]
    assert [options.attention_channels_for(384, enc) for enc in (True, False)] == [96, 32]
    assert options.hidden_channels_for(40, True) == 32
    assert SelfAttention(40, options.attention_channels_for(40, True)).query.out_features == 32


def test_options_become_json_and_come_back():
    options = CodecOptions(96, 64, True, [2, 4], 0.4)
    assert options.nested_sizes == (2, 4)
    assert CodecOptions(**options.changed()) == options
    assert hash(CodecOptions(**options.changed())) == hash(options)
    assert options.hidden_channels_for(384, True) == 96
    assert options.attention_channels_for(384, True) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_channels": 0}, "hidden_channels of at least 1, found 0"),
        ({"attention_channels": 40}, "positive multiple of 32, found 40"),
        ({"attention_channels": 0}, "positive multiple of 32, found 0"),
        ({"nested_sizes": (0, 2)}, r"rise from at least 1, found \(0, 2\)"),
        ({"nested_sizes": (4, 2)}, r"rise from at least 1, found \(4, 2\)"),
        ({"whole_share": 0.0}, "whole_share between 0 and 1, found 0"),
        ({"whole_share": 1.0}, "whole_share between 0 and 1, found 1"),
        ({"nested_sizes": (2, 2)}, r"rise from at least 1, found \(2, 2\)"),
    ],
)
def test_impossible_options_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        CodecOptions(**change)
