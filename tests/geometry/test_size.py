from segany.geometry import Size


def test_a_size_is_height_then_width() -> None:
    size = Size(1200, 1800)
    assert (size.height, size.width) == (1200, 1800)
    assert size == (1200, 1800)


def test_a_size_counts_its_pixels_and_says_its_order() -> None:
    assert Size(3, 4).area == 12
    assert str(Size(3, 4)) == "3x4 (height x width)"
