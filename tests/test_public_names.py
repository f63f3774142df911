import subprocess
import sys

import pytest

import hilum


def test_the_public_list_is_sorted_and_every_name_is_there() -> None:
    assert hilum.__all__ == sorted(hilum.__all__)
    assert set(hilum.__all__) == {*hilum._HOMES, "__version__"}
    for name in hilum.__all__:
        assert getattr(hilum, name) is not None


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="public are Bundle, Cohort"):
        _ = hilum.bundles


def test_importing_hilum_loads_nothing_heavy() -> None:
    code = "import hilum, sys; assert not {'numpy', 'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
