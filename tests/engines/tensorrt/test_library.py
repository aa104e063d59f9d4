"""What is known about versions."""

from __future__ import annotations

import pytest

from approxbit.engines.tensorrt.library import known_faults, parse_version
from approxbit.errors import EngineError


@pytest.mark.parametrize(
    ("version", "issue"), [("10.3.0", "4723"), ("10.4.0.26", "4742"), ("10.7.0", "4328"), ("8.5.2.2", None)]
)
def test_versions_with_known_faults_are_known(version: str, issue: str | None) -> None:
    faults = known_faults(parse_version(version))
    assert [issue in fault for fault in faults] == ([True] if issue else [])  # type: ignore[operator]


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(EngineError, match=r"expected a version of TensorRT such as 10\.3\.0, found 'ten'"):
        parse_version("ten")
