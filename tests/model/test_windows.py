import torch
from hypothesis import given
from hypothesis import strategies as st

from segany.model._windows import join_windows, split_windows


@given(st.integers(1, 2), st.integers(1, 20), st.integers(1, 20), st.integers(1, 8))
def test_join_undoes_split(batch: int, height: int, width: int, window: int) -> None:
    cells = torch.arange(batch * height * width * 2.0).view(batch, height, width, 2)
    windows, grid = split_windows(cells, window)
    assert windows.shape == (batch * -(-height // window) * -(-width // window), window, window, 2)
    assert torch.equal(join_windows(windows, grid), cells)


def test_windows_go_row_by_row_and_are_padded_with_zeros() -> None:
    cells = torch.arange(1.0, 7.0).view(1, 2, 3, 1)
    windows, _ = split_windows(cells, 2)
    assert windows.flatten(1).tolist() == [[1, 2, 4, 5], [3, 0, 6, 0]]
