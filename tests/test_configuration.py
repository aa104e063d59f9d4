import pytest

from approxbit.configuration import Configuration


@pytest.mark.parametrize("text", ["64-Enc-B8", "1-NoEnc-layer3.0", "16-Enc-0", "128-NoEnc-_blocks.3.0"])
def test_a_configuration_comes_back_from_its_text(text):
    assert str(Configuration.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "64-Enc", "0-Enc-B8", "-1-Enc-B8", "08-Enc-B8", "64-enc-B8", "64-Enc-", "64-Enc-.x", "64-Enc-..",
     "64-Enc-a/b", "64-Enc-a-b", "64-Enc-B8\n", "64-Enc-é", "٣-Enc-B8"],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="expected a configuration such as '64-Enc-B8'"):
        Configuration.parse(text)


@pytest.mark.parametrize(("point", "size"), [(".x", 4), ("", 4), ("a/b", 4), ("B8", 0)])
def test_a_configuration_that_has_no_text_is_refused(point, size):
    with pytest.raises(ValueError, match=r"of letters, digits, '_' and '\.' that does not begin with '\.'"):
        Configuration(point, True, size)
