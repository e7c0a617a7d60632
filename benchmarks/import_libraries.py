"""Libraries that read PDF, EPUB and HTML beside what `nielsgpt import` makes of the same files.

    pip install 'nielsgpt[import]' reportlab fpdf2 weasyprint typst ebooklib pypdf pdfminer.six \
        'markitdown[pdf]' trafilatura html2text
    python benchmarks/import_libraries.py novel.txt --folder made

A part of a novel, with a poem in each chapter, is set by several programs with running heads, page
numbers, contents and divided words. Words: F1 of the words that were read and those of the source.
Paragraphs: the same of whole paragraphs; a line that was not joined, or a running head in the midst
of a sentence, costs one.
"""

import argparse
import html
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

CHAPTERS, PARAGRAPHS = 4, 24
POEM = """Tyger Tyger, burning bright,
In the forests of the night;
What immortal hand or eye,
Could frame thy fearful symmetry?"""
CSS = """
@page { size: 148mm 210mm; margin: 18mm 16mm; @top-center { content: "The Running Head" }
        @bottom-center { content: counter(page) " of " counter(pages) } }
@page :first { @top-center { content: none } }
body { font: 10pt DejaVu Serif; hyphens: auto; text-align: justify }
p { margin: 0; text-indent: 1.2em } .verse { margin: 1em 2em; text-indent: 0 }
h1 { break-before: page; font-size: 16pt }
.contents a { display: block }
.contents a::after { content: leader(dotted) target-counter(attr(href), page) }
"""
COLUMNS = ".text { columns: 2; column-gap: 8mm } @page { size: A4 } h1 { break-before: auto }"
SITE = """<header><a href=/>Home</a> <a href=/blog>Blog</a></header><nav class="menu"><ul><li><a
href=/a>About us</a><li><a href=/b>Contact</a></ul></nav>%s<aside class="related"><h3>Related</h3><a
href=/c>Ten lamps you must see</a></aside><footer>Copyright. <a href=/p>Privacy</a></footer>"""
Chapter = tuple[str, Sequence[str]]


def cut_book(path: Path) -> list[Chapter]:
    """Chapters of a novel's prose, a poem in the middle of each."""
    text = path.read_text("utf-8-sig")
    found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    prose = [part for part in found if 80 < len(part) < 3000 and part[-1] in '."!?']
    book = []
    for number in range(CHAPTERS):
        part = prose[number * PARAGRAPHS : (number + 1) * PARAGRAPHS]
        middle = len(part) // 2
        book.append((f"Chapter {number + 1}: The Lamp", [*part[:middle], POEM, *part[middle:]]))
    return book


def as_html(book: Sequence[Chapter], with_contents: bool = True) -> str:
    """The book as the body of a page."""
    parts = []
    if with_contents:
        rows = "".join(f'<a href="#c{n}">{title}</a>' for n, (title, _) in enumerate(book))
        parts.append(f'<div class="contents"><h2>Contents</h2>{rows}</div>')
    for number, (title, texts) in enumerate(book):
        parts.append(f'<h1 id="c{number}">{title}</h1><div class="text">')
        for text in texts:
            lines, style = html.escape(text).split("\n"), ' class="verse"' if "\n" in text else ""
            parts.append(f"<p{style}>{'<br/>'.join(lines)}</p>")
        parts.append("</div>")
    return "\n".join(parts)


def by_weasyprint(book: Sequence[Chapter], path: Path, more: str = "") -> None:
    """A book in HTML and CSS."""
    import weasyprint

    page = f"<html lang=en><style>{CSS}{more}</style><body>{as_html(book)}</body></html>"
    weasyprint.HTML(string=page).write_pdf(path)


def by_columns(book: Sequence[Chapter], path: Path) -> None:
    """The same in two columns."""
    by_weasyprint(book, path, COLUMNS)


def by_reportlab(book: Sequence[Chapter], path: Path) -> None:
    """A report with a head and a page number drawn on each page."""
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    def decorate(canvas: object, document: object) -> None:
        canvas.drawString(72, 800, "The Running Head")  # type: ignore[attr-defined]
        canvas.drawRightString(520, 30, f"Page {document.page}")  # type: ignore[attr-defined]

    styles = getSampleStyleSheet()
    body = styles["BodyText"].clone("justified", alignment=4)
    flow = []
    for title, texts in book:
        flow.append(Paragraph(title, styles["Heading1"]))
        flow += [Paragraph(html.escape(text).replace("\n", "<br/>"), body) for text in texts]
        flow.append(PageBreak())
    SimpleDocTemplate(str(path)).build(flow, onFirstPage=decorate, onLaterPages=decorate)


def by_fpdf(book: Sequence[Chapter], path: Path) -> None:
    """Cells of text with fpdf2."""
    import fpdf

    class Book(fpdf.FPDF):
        def header(self) -> None:
            self.set_font("Helvetica", "I", 8)
            self.cell(0, 10, "The Running Head", align="C", new_x="LMARGIN", new_y="NEXT")

        def footer(self) -> None:
            self.set_y(-15)
            self.cell(0, 10, f"- {self.page_no()} -", align="C")

    document = Book(format="A5")
    document.set_auto_page_break(True, 20)
    for title, texts in book:
        document.add_page()
        document.set_font("Helvetica", "B", 16)
        document.multi_cell(0, 10, title, new_x="LMARGIN", new_y="NEXT")
        document.set_font("Times", "", 11)
        for text in texts:
            plain = text.encode("latin-1", "ignore").decode("latin-1")
            document.multi_cell(0, 5, plain, new_x="LMARGIN", new_y="NEXT")
            document.ln(2)
    document.output(str(path))


def by_typst(book: Sequence[Chapter], path: Path) -> None:
    """A typeset book: ligatures, divided words, contents with dots."""
    import typst

    def escape(text: str) -> str:
        return re.sub(r"([\\#*_`$<>@~\[\]/=+-])", r"\\\1", text)

    source = [
        "#set page(width: 148mm, height: 210mm, "
        "header: context { if counter(page).get().first() > 1 "
        '[ #emph[The Running Head] #h(1fr) #counter(page).display() ] }, numbering: "1")',
        '#set text(size: 10pt, lang: "en")',
        "#set par(justify: true, first-line-indent: 1.5em, spacing: 0.65em)",
        "#outline(title: [Contents])",
    ]
    for title, texts in book:
        source.append(f"#pagebreak()\n= {escape(title)}")
        for text in texts:
            lines = " \\\n".join(map(escape, text.split("\n")))
            source.append(f"#pad(left: 2em, y: 1em)[{lines}]" if "\n" in text else lines)
    made = path.with_suffix(".typ")
    made.write_text("\n\n".join(source), "utf-8")
    typst.compile(str(made), output=str(path))
    made.unlink()


def by_ebooklib(book: Sequence[Chapter], path: Path) -> None:
    """An EPUB 3 with its page of navigation and a contents page among the chapters."""
    from ebooklib import epub

    made = epub.EpubBook()
    made.set_title("The Lamp")
    made.set_language("en")
    pages = []
    for number, chapter in enumerate(book):
        page = epub.EpubHtml(title=chapter[0], file_name=f"c{number}.xhtml")
        page.content = as_html([chapter], with_contents=False)
        made.add_item(page)
        pages.append(page)
    made.toc = pages
    made.add_item(epub.EpubNcx())
    made.add_item(epub.EpubNav())
    made.spine = ["nav", *pages]
    epub.write_epub(str(path), made)


def by_site(book: Sequence[Chapter], path: Path) -> None:
    """A page of a site, with navigation on all sides."""
    content = f"<main><article>{as_html(book, with_contents=False)}</article></main>"
    page = f"<!doctype html><html lang=en><title>Lamp</title><body>{SITE % content}</body></html>"
    path.write_text(page, "utf-8")


def read_ours(path: Path) -> str:
    """The text that an import would keep."""
    from nielsgpt.importers.content import Reading
    from nielsgpt.importers.readers import READERS

    return "\n\n".join(map(str, READERS[path.suffix](path, Reading("text"))))


def read_pdfium(path: Path) -> str:
    """The text of PDFium alone."""
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        return "\n\n".join(page.get_textpage().get_text_range() for page in document)


def read_pypdf(path: Path) -> str:
    """The text of pypdf."""
    import pypdf

    return "\n\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def read_pdfminer(path: Path) -> str:
    """The text of pdfminer.six."""
    from pdfminer.high_level import extract_text

    return str(extract_text(path))


def read_markitdown(path: Path) -> str:
    """The Markdown of markitdown, which reads PDFs with pdfminer.six."""
    from markitdown import MarkItDown

    return str(MarkItDown().convert(str(path)).text_content)


def epub_pages(path: Path) -> Iterable[str]:
    """The chapters of a book as ebooklib gives them."""
    import ebooklib
    from ebooklib import epub

    for item in epub.read_epub(str(path)).get_items_of_type(ebooklib.ITEM_DOCUMENT):
        yield item.get_content().decode()


def read_trafilatura(path: Path) -> str:
    """The main text of a page, or of each chapter."""
    import trafilatura

    pages = epub_pages(path) if path.suffix == ".epub" else [path.read_text("utf-8")]
    return "\n\n".join(trafilatura.extract(page) or "" for page in pages).replace("\n", "\n\n")


def read_html2text(path: Path) -> str:
    """The Markdown of html2text."""
    import html2text

    converter = html2text.HTML2Text(bodywidth=0)
    converter.ignore_links = True
    pages = epub_pages(path) if path.suffix == ".epub" else [path.read_text("utf-8")]
    return "\n\n".join(map(converter.handle, pages))


MAKERS: dict[str, Callable[[Sequence[Chapter], Path], None]] = {
    "reportlab.pdf": by_reportlab,
    "fpdf2.pdf": by_fpdf,
    "weasyprint.pdf": by_weasyprint,
    "columns.pdf": by_columns,
    "typst.pdf": by_typst,
    "ebooklib.epub": by_ebooklib,
    "site.html": by_site,
}
PDF_READERS = {
    "nielsgpt": read_ours,
    "pypdfium2": read_pdfium,
    "pypdf": read_pypdf,
    "pdfminer.six": read_pdfminer,
    "markitdown": read_markitdown,
}
PAGE_READERS = {
    "nielsgpt": read_ours,
    "trafilatura": read_trafilatura,
    "html2text": read_html2text,
    "markitdown": read_markitdown,
}


def f1(found: Iterable[str], wanted: Iterable[str]) -> float:
    """The harmonic mean of how much of what was found is wanted, and how much of that was found."""
    one, other = Counter(found), Counter(wanted)
    return 2 * (one & other).total() / max(1, one.total() + other.total())


def simplify(text: str) -> str:
    """The text with one kind of quotation mark and space, case aside."""
    marks = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "_": ""})
    return " ".join(text.translate(marks).lower().split())


def paragraphs(text: str) -> list[str]:
    """The paragraphs, folded."""
    return [simplify(part) for part in re.split(r"\n\s*\n", text) if part.strip()]


def main() -> None:
    """Make each file, read it with each library, print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("novel", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("made"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    book = cut_book(options.novel)
    source = "\n\n".join(part for title, texts in book for part in (title, *texts))
    print(f"{'file':16} {'library':13} {'words':>6} {'paragraphs':>10} {'seconds':>8}")
    for name, make in MAKERS.items():
        path = options.folder / name
        if not path.exists():
            make(book, path)
        for library, read in (PDF_READERS if path.suffix == ".pdf" else PAGE_READERS).items():
            begun = time.perf_counter()
            text = read(path)
            seconds = time.perf_counter() - begun
            (options.folder / f"{path.name}.{library}.txt").write_text(text, "utf-8", "replace")
            words = f1(simplify(text).split(), simplify(source).split())
            parts = f1(paragraphs(text), paragraphs(source))
            print(f"{name:16} {library:13} {words:6.3f} {parts:10.3f} {seconds:8.2f}")


if __name__ == "__main__":
    main()
