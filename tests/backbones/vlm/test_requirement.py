from __future__ import annotations

import sys

import pytest

from approxbit.backbones.vlm.requirement import require_transformers


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"need transformers.*pip install 'approxbit\[vlm\]'"):
        require_transformers()


@pytest.mark.parametrize("version", ["4.57.1", "5.17.9", "6.0.0"])
def test_versions_without_the_public_way_in_are_refused(monkeypatch, version):
    monkeypatch.setattr(require_transformers(), "__version__", version)
    with pytest.raises(ImportError, match=rf"need transformers>=5.18,<6, found {version}"):
        require_transformers()


@pytest.mark.parametrize("version", ["5.18.0", "5.100.2", "5.24.0.dev0"])
def test_versions_with_it_are_taken(monkeypatch, version):
    monkeypatch.setattr(require_transformers(), "__version__", version)
    assert require_transformers().__name__ == "transformers"
