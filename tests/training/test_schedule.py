import pytest

from approxbit.training.schedule import constant, warmup_cosine


def test_without_warmup_the_rate_starts_at_its_peak():
    assert warmup_cosine(10, 0.0)(0) == 1.0


def test_the_rate_never_rises_after_the_warmup_and_stays_at_zero_after_the_end():
    factor = warmup_cosine(50, 0.2)
    after = [factor(step) for step in range(10, 60)]
    assert after == sorted(after, reverse=True)
    assert after[-1] == 0.0


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warmup_out_of_range_is_refused(warmup):
    with pytest.raises(ValueError, match="warmup of at least 0 and below 1"):
        warmup_cosine(10, warmup)


def test_constant_is_the_papers_schedule():
    assert {constant(step) for step in (0, 7, 10_000)} == {1.0}
