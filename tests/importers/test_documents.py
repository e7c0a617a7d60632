"""Each kind of document as text: what its author wrote, and nothing of the program around it."""

import codecs
from pathlib import Path

import pytest

from nielsgpt.importers.content import Reading, Unreadable
from nielsgpt.importers.readers import READERS
from tests.importers import made

NIGHT = "It was a dark night and the keeper had lit the lamp before the rain began to fall."


def read(path: Path, column: str = "text") -> list[object]:
    return list(READERS[path.suffix](path, Reading(column)))


def text_of(path: Path) -> str:
    (text,) = read(path)
    assert isinstance(text, str)
    return text


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_pdf_becomes_paragraphs_without_heads_page_numbers_and_hyphens(tmp_path: Path) -> None:
    def page(number: int, word: str) -> list[tuple[float, float, str]]:
        lines = (
            (86, f"The keeper of tower {word} had lit his lamp before"),
            (72, "the rain began to fall, and nobody on the whole is-"),
            (72, f"land asked why in {word} nights he did it."),
            (86, f"And {word} ships came home."),
        )
        body = [(x, 700.0 - 12 * row, text) for row, (x, text) in enumerate(lines)]
        return [(250, 760, "THE LAMP"), *body, (300, 40, f"- {number} -")]

    words = ("one", "two", "three", "four")
    pages = [page(number, word) for number, word in enumerate(words, start=1)]
    assert text_of(made.pdf(tmp_path / "a.pdf", pages)).split("\n\n") == [
        paragraph
        for word in words
        for paragraph in (
            f"The keeper of tower {word} had lit his lamp before the rain began to fall, and "
            f"nobody on the whole island asked why in {word} nights he did it.",
            f"And {word} ships came home.",
        )
    ]


def test_a_pdf_of_pictures_and_a_broken_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="pictures and no text; run ocrmypdf"):
        read(made.pdf(tmp_path / "a.pdf", [[]]))
    with pytest.raises(Unreadable, match="damaged"):
        read(written(tmp_path / "b.pdf", b"%PDF-1.7 nothing"))


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_a_book_is_read_in_the_order_of_its_chapters(tmp_path: Path, version: str) -> None:
    chapters = [
        '<h1>One</h1><p>The lamp<a epub:type="noteref" href="#n"></a> is lit.</p>',
        '<h1>Two</h1><span epub:type="pagebreak">3</span><p>Roses are red,<br/>violets blue.</p>',
    ]
    book = made.epub(tmp_path / "a.epub", chapters, version)
    assert text_of(book) == "One\n\nThe lamp is lit.\n\nTwo\n\nRoses are red,\nviolets blue."


def test_a_protected_book_is_named_as_such(tmp_path: Path) -> None:
    rights = {"META-INF/encryption.xml": '<CipherReference URI="OEBPS/c%200.xhtml"/>'}
    with pytest.raises(Unreadable, match="DRM"):
        read(made.epub(tmp_path / "a.epub", ["<p>x</p>"], **rights))


def test_a_page_is_its_article_without_navigation_and_scripts(tmp_path: Path) -> None:
    links = "".join(f'<li><a href="/{n}">Section {n}</a></li>' for n in range(9))
    page = f"""<html><head><title>T</title><script>var x = 1</script></head><body>
      <header>My site</header><nav><ul>{links}</ul></nav>
      <main><h1>The lamp</h1><p>{NIGHT}</p><pre>  if lit:\n    rest()</pre>
      <table><tr><td>tea</td><td>2</td></tr></table><ul>{links}</ul></main>
      <div class="cookie-banner">We use cookies</div><footer>Imprint</footer></body></html>"""
    expected = f"The lamp\n\n{NIGHT}\n\n  if lit:\n    rest()\n\ntea | 2"
    assert text_of(written(tmp_path / "a.html", page)) == expected


def test_documents_of_word_and_libreoffice_are_their_paragraphs(tmp_path: Path) -> None:
    assert text_of(made.docx(tmp_path / "a.docx", ["The lamp", NIGHT])) == f"The lamp\n\n{NIGHT}"
    content = (
        '<o xmlns:t="urn:t"><t:text><t:table-of-content><t:p>The lamp 3</t:p></t:table-of-content>'
        "<t:h>The<t:s/>lamp</t:h><t:p/><t:p>Lit<t:note>7</t:note> <t:span>again</t:span>.</t:p>"
        "</t:text></o>"
    )
    odt = made.archive(tmp_path / "a.odt", {"content.xml": content})
    assert text_of(odt) == "The lamp\n\nLit again."
    rtf = written(
        tmp_path / "a.rtf", r"{\rtf1\ansi\ansicpg1252 The keeper\'92s lamp.\par Caf\'e9.}"
    )
    assert text_of(rtf) == "The keeper\u2019s lamp.\n\nCaf\u00e9."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Der Wärter öffnet die Tür und grüßt höflich. Draußen stürmt es.", "latin-1"),
        ("Der Wärter öffnet die Tür und grüßt höflich. Draußen stürmt es.", "utf-16"),
        ("The lamp is lit every evening.", "utf-16-le"),
        ("Лодка вернулась перед бурей, и никто не спросил почему. " * 3, "cp1251"),
        ("灯台は毎晩明かりをともす。船は嵐の前に帰ってきた。", "shift_jis"),
        ("灯台は毎晩明かりをともす。船は嵐の前に帰ってきた。", "utf-8-sig"),
    ],
)
def test_a_text_is_read_in_any_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    assert text_of(written(tmp_path / "a.txt", text.encode(encoding))) == text.strip()


def test_a_text_that_was_once_decoded_wrongly_is_repaired(tmp_path: Path) -> None:
    damaged = "The caf\u00e9 was na\u00efve.".encode().decode("cp1252")
    assert text_of(written(tmp_path / "a.txt", damaged)) == "The caf\u00e9 was na\u00efve."


def test_a_binary_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="binary"):
        read(written(tmp_path / "a.txt", codecs.BOM_UTF8[:2] + bytes(300)))


def test_a_note_loses_its_links_and_properties_and_keeps_its_code(tmp_path: Path) -> None:
    note = (
        "---\ntags: x\n---\n# Lamp\nSee [[Oil|the oil]], [[Wick]] and [a page](http://x.y/(z)).\n"
        "![[lamp.png]]\ncolour:: red\n\n```\n[[x]]\n```\n- {{[[TODO]]}} trim ^ab12cd\n"
        "%%hidden%%\n"
    )
    text = text_of(written(tmp_path / "a.md", note))
    assert text == "# Lamp\nSee the oil, Wick and a page.\n\n```\n[[x]]\n```\n- trim"


def test_subtitles_are_what_is_said(tmp_path: Path) -> None:
    srt = "1\n00:00:01,000 --> 00:00:02,000\n<i>The lamp</i>\nis out.\n\n"
    srt += "2\n00:00:02,500 --> 00:00:03,000\n[wind]\n\n"
    srt += "3\n00:00:03,000 --> 00:00:04,000\nADA: Light it!\n\n"
    srt += "4\n00:01:00,000 --> 00:01:01,000\nMorning.\n\n"
    assert text_of(written(tmp_path / "a.srt", srt)) == "The lamp is out. Light it!\n\nMorning."
    vtt = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000 align:start\nThe lamp is out.\n"
    assert text_of(written(tmp_path / "a.vtt", vtt)) == "The lamp is out."


def test_a_mailbox_is_its_mails_without_headers_quotes_and_signatures(tmp_path: Path) -> None:
    mails = (
        "From a@b Mon\nFrom: Ada <a@b.org>\nSubject: =?utf-8?q?L=C3=A4mp?=\n\nIt is out.\n\n"
        "On Monday, Niels wrote:\n> Is it?\n-- \nAda, Harbour 3\n\n"
        "From c@d Tue\nSubject: Re\nContent-Type: text/html\n\n<p>Lit <b>again</b>.</p>\n\n"
    )
    found = read(written(tmp_path / "a.mbox", mails))
    assert found == ["L\u00e4mp\n\nIt is out.", "Re\n\nLit again."]


def test_a_table_is_its_column_and_a_missing_one_is_named(tmp_path: Path) -> None:
    table = written(tmp_path / "a.csv", "id;Body\n1;The lamp\n2;\n3;is lit\n")
    assert read(table, "body") == ["The lamp", "is lit"]
    with pytest.raises(Unreadable, match="no column 'text'; name one with --column: id, Body"):
        read(table)
    lines = written(tmp_path / "a.jsonl", '{"text": "The lamp"}\nbroken\n{"text": "is lit"}\n')
    assert read(lines) == ["The lamp", "is lit"]


def test_a_parquet_file_is_its_column(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"text": ["The lamp", None, "is lit"]}), tmp_path / "a.parquet"
    )
    assert read(tmp_path / "a.parquet") == ["The lamp", "is lit"]
