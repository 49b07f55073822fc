from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from wherry.report.svg import element, join, shorten

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00", exclude_categories=["Cc"]))


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@given(TEXT, TEXT)
def test_no_text_and_no_attribute_gets_out_of_its_element(text, attribute):
    reader = Reader()
    reader.feed(str(element("text", text, class_=attribute)))
    reader.close()
    assert reader.found == [("text", {"class": attribute})]
    assert reader.text == text


def test_elements_nest_and_absent_attributes_are_left_out():
    inner = element("rect", width=2.5, height=3.0, rx=None)
    assert str(element("g", inner, "&")) == '<g><rect width="2.5" height="3"></rect>&amp;</g>'
    assert str(join([inner, inner])) == str(inner) * 2


def test_a_short_text_is_left_alone_and_a_long_one_is_cut_to_its_length():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"
