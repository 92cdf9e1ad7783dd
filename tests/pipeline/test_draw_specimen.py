from unicodedata import combining

import pytest
from lxml import etree

from pipeline.draw_specimen import main
from rnngen.errors import InputError
from rnngen.handwriting_generator.glyphs import load_letterforms


def test_the_sheet_shows_every_form_and_is_the_same_each_time(tmp_path):
    for name in ("one.svg", "two.svg"):
        main(tmp_path / name, text=["two words"], writers=3)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    root = etree.parse(tmp_path / "one.svg").getroot()
    drawn = [group for group in root.iter("{*}g") if group.get("id", "").startswith("LineCollection")]
    alphabet = load_letterforms()
    forms = sum(len(forms) for written, forms in alphabet.glyphs.items() if not combining(written[0]))
    assert len(drawn) == forms + len(alphabet.composed) + 3


def test_png(tmp_path):
    main(tmp_path / "sheet.png", writers=1)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [("sheet.gif", None, "ends in .png or .svg"), ("sheet.png", ["þ"], r"no glyph for 'þ' \(U\+00FE\)")],
)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, name, text, complaint):
    with pytest.raises(InputError, match=complaint):
        main(tmp_path / name, text=text)
    assert list(tmp_path.iterdir()) == []
