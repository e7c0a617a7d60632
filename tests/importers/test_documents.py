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


def test_a_pdfs_headings_verse_code_and_tables_keep_their_lines(tmp_path: Path) -> None:
    prose = "The keeper had lit his lamp before the rain began to fall on it all"
    lines: list[tuple[str, float, str]] = [
        *(("H", 72.0, "Chapter 1"), ("", 86.0, prose), ("", 72.0, "and nobody asked him why.")),
        *(("", 100.0, "Tyger Tyger, burning bright,"), ("", 100.0, "In the forests of the night;")),
        *(("", 86.0, prose), ("", 72.0, "and he slept.")),
        *(("c", 72.0, "def light\\(lamp\\):"), ("c", 96.0, "lamp.burn\\(\\)")),
        *(("", 86.0, prose), ("", 72.0, "and ships came.")),
        ("s", 72.0, "1 A note of the editor."),
    ]
    page = [(x, 700.0 - 12 * row - 4 * (row > 0), text) for row, (_, x, text) in enumerate(lines)]
    style = "".join(kind or " " for kind, _, _ in lines)
    assert text_of(made.pdf(tmp_path / "a.pdf", [page], style)).split("\n\n") == [
        "Chapter 1",
        f"{prose} and nobody asked him why.",
        "Tyger Tyger, burning bright,\nIn the forests of the night;",
        f"{prose} and he slept.",
        "def light(lamp):\n    lamp.burn()",
        f"{prose} and ships came.",
    ]


def test_a_paragraph_runs_on_over_the_end_of_a_page_and_a_heading_stays(tmp_path: Path) -> None:
    def full(word: str) -> str:
        return f"{word} keepers had lit their lamps before the rain began to fall"

    pages = [
        [
            (72.0, 760.0, "Chapter 1: Rain"),
            (86.0, 700.0, full("Six")),
            (72.0, 688.0, full("of a.")),
        ],
        [(72.0, 760.0, "Chapter 2: Wind"), (72.0, 700.0, full("Two")), (86.0, 688.0, full("Ten"))],
        [(72.0, 760.0, "Chapter 3: Snow"), (86.0, 700.0, full("All")), (72.0, 688.0, "and so on.")],
    ]
    assert text_of(made.pdf(tmp_path / "a.pdf", pages, 3 * "H  ")).split("\n\n") == [
        *("Chapter 1: Rain", f"{full('Six')} {full('of a.')}"),
        *("Chapter 2: Wind", full("Two"), full("Ten")),
        *("Chapter 3: Snow", f"{full('All')} and so on."),
    ]
    text = text_of(made.pdf(tmp_path / "b.pdf", [page[1:] for page in pages[:2]]))
    assert text.split("\n\n") == [f"{full('Six')} {full('of a.')} {full('Two')}", full("Ten")]


def test_contents_with_dots_are_left_out_of_a_pdf_and_the_page_they_are_on_is_read(
    tmp_path: Path,
) -> None:
    lines = ("Contents", "The lamp ........ 3", "The rain ........ 9", NIGHT)
    page = [(72.0, 700.0 - 30 * row, text) for row, text in enumerate(lines)]
    assert text_of(made.pdf(tmp_path / "a.pdf", [page])) == NIGHT


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


def test_lists_tables_and_code_of_a_book_keep_their_lines_and_notes_are_left_out(
    tmp_path: Path,
) -> None:
    chapter = (
        '<h2>Contents</h2><p>Lit.<sup><a href="#f1">1</a></sup> Out.<a class="noteref" href="#f2">2'
        "</a></p><ul><li><p>oil</p></li><li>wick</li></ul><ol><li>trim</li><li>light</li></ol>"
        "<table><tr><td><p>Lamp</p></td><td>2</td></tr><tr><td>Oil</td><td>3</td></tr></table>"
        "<pre>if lit:\n    rest()\n\n    sleep()</pre>"
        '<aside epub:type="footnote"><p>One note.</p></aside><p class="footnote">Another.</p>'
        f"<table><tr><td><p>{NIGHT}</p><p>{NIGHT}</p></td><td></td></tr></table>"
    )
    assert text_of(made.epub(tmp_path / "a.epub", [chapter])).split("\n\n", 1)[1] == (
        "- oil\n- wick\n\n1. trim\n2. light\n\nLamp | 2\nOil | 3\n\n"
        f"if lit:\n    rest()\n\n    sleep()\n\n{NIGHT}\n\n{NIGHT}"
    )


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
    code = (
        '<o xmlns:t="urn:t"><t:style t:name="P1" t:parent-style-name="Preformatted_20_Text"/>'
        '<t:text><t:p t:style-name="P1">if lit:</t:p>'
        '<t:p t:style-name="P1"><t:s t:c="4"/>rest()</t:p><t:list><t:list-item><t:p>oil</t:p>'
        "</t:list-item><t:list-item><t:p>wick</t:p></t:list-item></t:list></t:text></o>"
    )
    odt = made.archive(tmp_path / "b.odt", {"content.xml": code})
    assert text_of(odt) == "if lit:\n    rest()\n\n- oil\n- wick"
    verse = written(
        tmp_path / "b.rtf", r"{\rtf1\ansi Roses,\line violets.\par {Tea\par}\cell 2\cell\row }"
    )
    assert text_of(verse) == "Roses,\nviolets.\n\nTea | 2"
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
        ("The lamp is lit every evening.", "utf-16-be"),
        ("Strażnik zapalił lampę. Łódź wróciła późno. " * 4, "iso8859_2"),
        ("Лодка вернулась перед бурей, и никто не спросил. " * 3, "koi8-r"),
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


@pytest.mark.parametrize(
    "quoted",
    [
        "On Mon, Jan 1, 2024 at 9:00 AM Ada <ada@x.org>\nwrote:\n\n> Is it lit?\n>> Really?",
        "Am 01.01.24 um 10:00 schrieb Ada:\n> Brennt sie?",
        "Le lun. 1 janv. 2024 \u00e0 10:00, Ada <ada@x.org> a \u00e9crit :\n> Allum\u00e9e ?",
        "Von: Ada <ada@x.org>\nGesendet: Montag\nAn: Bo\n\nBrennt sie?",
        "-----Original Message-----\nFrom: Ada\n\nIs it lit?",
        "Envoy\u00e9 de mon iPhone",
        "-- \nBo\nKeeper",
    ],
)
def test_a_mail_is_its_own_words_whichever_program_quoted_another(
    tmp_path: Path, quoted: str
) -> None:
    mail = f"Subject: Lamp\nContent-Type: text/plain; charset=utf-8\n\nYes.\n\n{quoted}\n"
    assert text_of(written(tmp_path / "a.eml", mail)) == "Lamp\n\nYes."


def test_a_mail_in_html_is_read_without_quotes_and_signature(tmp_path: Path) -> None:
    body = (
        '<p>Yes.</p><blockquote type="cite">Lit?</blockquote><div class="gmail_quote">Old</div>'
        '<div class="gmail_signature">Bo</div><div id="divRplyFwdMsg">From</div><div>Old</div>'
    )
    mail = f"Subject: Lamp\nContent-Type: text/html\n\n{body}"
    assert text_of(written(tmp_path / "a.eml", mail)) == "Lamp\n\nYes."


def test_captions_that_roll_up_are_said_once(tmp_path: Path) -> None:
    lines = ("The lamp is out", "The lamp is out\nand - #1 knows", "and - #1 knows\n- ADA: why.")
    cues = "\n\n".join(f"00:0{n}.000 --> 00:0{n + 1}.000\n{text}" for n, text in enumerate(lines))
    captions = written(tmp_path / "a.vtt", f"WEBVTT\n\n{cues}\n")
    assert text_of(captions) == "The lamp is out and - #1 knows why."


def test_properties_of_notion_and_queries_of_obsidian_are_left_out(tmp_path: Path) -> None:
    note = "# Lamp\n\nCreated: May 1\nTags: oil\n\n<aside>\nSee [[Oil#Kinds]] ==well==\n</aside>\n"
    blocks = "\n```dataview\nTABLE x\n```\n\n```py\nx\n```\n\n```sh\ny\n```\n"
    assert text_of(written(tmp_path / "a.md", note + blocks)) == (
        "# Lamp\n\nSee Oil well\n\n```py\nx\n```\n\n```sh\ny\n```"
    )


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
