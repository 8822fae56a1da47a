"""Class names are read as people's editors write them."""

from featurelens import scan_heads


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("goldfish\ncart\n", "utf-8-sig")
    assert scan_heads.names(path) == ["goldfish", "cart"]
