"""HTML, EPUB, DOCX, ODT and RTF as paragraphs.

Everything becomes blocks with a blank line between them; a `br` stays a line break, so verse keeps
its lines, and `pre` stays as it is. Navigation, notes of licence and tables of contents go.
"""

import re
import zipfile
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

import mammoth
from selectolax.lexbor import LexborHTMLParser, LexborNode
from striprtf.striprtf import rtf_to_text

from nielsgpt.data.sources.gutenberg import extract_body
from nielsgpt.importers import prose
from nielsgpt.importers.content import Reading, Unreadable
from nielsgpt.importers.decode import decode, repair

BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("header", "hr", "html", "li", "main", "nav", "ol", "p", "pre", "section", "summary"),
        *("table", "tr", "ul"),
    )
)
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))  # may link to themselves
SILENT = frozenset(
    (
        *("script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object"),
        *("button", "select", "textarea", "audio", "video", "canvas"),
    )
)
CHROME = frozenset(("nav", "header", "footer", "aside", "form"))  # of a page, not of a book
CHROME_NAME = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|sidebar|side-?bar|footer|site-?header|masthead"
    r"|cookies?|consent|breadcrumbs?|share|sharing|social|comments?|advert\w*|ads?|related|toc"
    r"|popup|modal|subscribe|newsletter|skip-?link|mw-editsection|noprint|navbox|catlinks"
    r"|printfooter|metadata)(?:$|[\s_-])",
    re.I,
)
BOOK_CHROME = re.compile(
    r"\b(?:toc|pg-boilerplate|pg-header|pg-footer|pagenum|pageno|page-?number"
    r"|footnotes?|endnotes?|fnanchor|noteref|reflist)(?:\b|_)",
    re.I,
)
BOOK_TYPES = frozenset(
    (
        *("toc", "landmarks", "page-list", "pagebreak", "copyright-page", "loi", "lot", "index"),
        *("noteref", "footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes"),
    )
)
PAGE_ROLES = frozenset(("navigation", "banner", "contentinfo"))
CODE_STYLES = ("Source Code", "HTML Preformatted", "Preformatted Text", "Code", "Plain Text")
CODE_MAP = "\n".join(
    f"p{style} => pre:separator('\\n')"
    for name in CODE_STYLES
    for style in (f"[style-name='{name}']", f".{name.replace(' ', '')}")
)


class Place(NamedTuple):
    """A node to visit (None: the end of a block), and what it lies in."""

    node: LexborNode | None
    in_link: bool = False
    in_pre: bool = False
    in_row: bool = False  # of a table with data: its cells stay in one line


ODT_LISTINGS = frozenset(
    ("table-of-content", "alphabetical-index", "tracked-changes", "illustration-index")
)
MOST_NUMBERED = 999
MAIL_QUOTES = (
    "blockquote[type=cite], .gmail_quote, .gmail_attr, .gmail_signature, .moz-cite-prefix,"
    ".moz-signature, .yahoo_quoted, #divRplyFwdMsg, #divRplyFwdMsg ~ *, #appendonsend ~ *"
)
MAIN = ("main", "[role=main]", "#mw-content-text", "article")
MAIN_SHARE = 0.4  # of a page's text: from then on an element is the page's content
MOST_LINKED = 0.5  # of a block's characters
MEMBER_BYTES = 64 * 2**20  # the largest part of a book that is read


def read_html(path: Path, reading: Reading) -> Iterator[str]:
    """The content of a web page without what surrounds it."""
    tree = LexborHTMLParser(_html_text(path.read_bytes()))
    found = blocks(_main(tree), is_page=True)
    text = "\n\n".join(text for text, linked in found if not _is_navigation(text, linked))
    reading.left_out["blocks of links"] += sum(_is_navigation(*block) for block in found)
    yield prose.tighten(repair(text))


def read_epub(path: Path, reading: Reading) -> Iterator[str]:
    """The chapters of a book in reading order. Raises Unreadable for one that is protected."""
    with _open(path) as archive:
        names = set(archive.namelist())
        if "META-INF/encryption.xml" in names and re.search(
            rb"\.x?html?\b", _member(archive, "META-INF/encryption.xml")
        ):
            raise Unreadable("it is protected (DRM)")
        chapters = []
        for name in spine(archive):
            if name not in names:
                reading.left_out["missing chapters"] += 1
                continue
            tree = LexborHTMLParser(_html_text(_member(archive, name)))
            found = blocks(tree.body, is_page=False) if tree.body else []
            linked = sum(count for _, count in found)
            if len(found) > 5 and linked > 0.7 * sum(len(text) for text, _ in found):
                reading.left_out["pages of contents"] += 1
            else:
                chapters.append("\n\n".join(text for text, _ in found))
    text = repair("\n\n".join(filter(None, chapters)))
    yield prose.tighten(prose.without_contents(extract_body(text)))


def spine(archive: zipfile.ZipFile) -> list[str]:
    """The names of a book's chapters in reading order, without its pages of navigation."""
    container = _xml(_member(archive, "META-INF/container.xml"))
    place = next((e.get("full-path", "") for e in container.iter() if _tag(e) == "rootfile"), "")
    package = _xml(_member(archive, place))
    folder = PurePosixPath(place).parent
    files, skipped = {}, set()
    for element in package.iter():
        href = unquote((element.get("href") or "").partition("#")[0])
        if _tag(element) == "item":
            files[element.get("id")] = href
            if "nav" in (element.get("properties") or "").split():
                skipped.add(href)
        elif _tag(element) == "reference" and element.get("type") in BOOK_TYPES:
            skipped.add(href)
    order = [files.get(e.get("idref"), "") for e in package.iter() if _tag(e) == "itemref"]
    return [str(folder / href) for href in order if href and href not in skipped]


def read_docx(path: Path, reading: Reading) -> Iterator[str]:
    """A document of Word: its text without headers, footers, comments and contents."""
    _open(path).close()
    with path.open("rb") as file:
        html = mammoth.convert_to_html(file, style_map=CODE_MAP).value
    html = re.sub(r'<img [^>]*src="data:[^"]*"[^>]*>', "", html)
    tree = LexborHTMLParser(html)
    found = blocks(tree.body, is_page=False) if tree.body else []
    kept = [text for text, _ in found if not prose.LEADERS.search(text)]
    reading.left_out["lines of contents"] += len(found) - len(kept)
    yield prose.tighten(repair("\n\n".join(kept)))


def read_odt(path: Path, reading: Reading) -> Iterator[str]:
    """A document of LibreOffice: its paragraphs and headings, without contents and notes."""
    with _open(path) as archive:
        root = _xml(_member(archive, "content.xml"))
    body = next((element for element in root.iter() if _tag(element) == "text"), root)
    found = groupby(_odt_blocks(body, _odt_code_styles(root)), key=lambda block: block[1])
    parts = [("\n" if is_code else "\n\n").join(text for text, _ in run) for is_code, run in found]
    yield prose.tighten(repair("\n\n".join(parts)))


def read_rtf(path: Path, reading: Reading) -> Iterator[str]:
    """A document in rich text."""
    source = path.read_bytes()
    if not source.lstrip().startswith(b"{\\rtf"):
        raise Unreadable("it is no rich text")
    # striprtf makes the same of the end of a line as of that of a paragraph.
    marked = re.sub(r"\\line\b ?", r"\\u8232 ?", source.decode("latin-1"))
    marked = re.sub(r"\\par\s*\}\s*\\cell", r"}\\cell", marked)
    text = str(rtf_to_text(marked, errors="ignore"))  # type: ignore[no-untyped-call]
    text = re.sub(r"^(.*)\|$", lambda row: row[1].replace("|", " | "), text, flags=re.M)
    text = re.sub(r"^ ?(\S{1,3})\t", r"\1 ", text, flags=re.M)  # of lists
    yield prose.tighten(repair(text.replace("\n", "\u2029")))


def html_text(html: str) -> str:
    """The text of a mail in HTML, without what it quotes and its signature."""
    tree = LexborHTMLParser(html)
    for node in tree.css(MAIL_QUOTES):
        node.decompose()
    return "\n\n".join(text for text, _ in blocks(tree.body, is_page=False)) if tree.body else ""


def blocks(root: LexborNode, is_page: bool) -> list[tuple[str, int]]:
    """The blocks of text below a node, and how many characters of each are links."""
    found: list[tuple[str, int]] = []
    parts: list[str] = []
    linked = 0
    mark = ""  # of an item of a list

    def end(verbatim: bool = False) -> None:
        nonlocal linked, mark
        text = "".join(parts)
        text = text.strip("\n") if verbatim else _fold(text)
        if text.strip():
            found.append((mark + text, linked))
            mark = ""
        parts.clear()
        linked = 0

    # A stack and no recursion: a hostile page nests a million deep.
    stack = [Place(root)]
    while stack:
        place = stack.pop()
        node, in_link, in_pre, in_row = place
        if node is None:
            end(in_pre)
            mark = ""
            continue
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            parts.append(text if in_pre else re.sub(r"\s+", " ", text))
            linked += len(text.strip()) if in_link else 0
        elif tag == "br":
            parts.append("\n")
        elif tag in SILENT or tag.startswith("-") or _is_chrome(node, is_page):
            continue
        elif tag in BLOCKS and not in_row:
            end(in_pre)
            mark = _list_mark(node) if tag == "li" else mark
            in_pre = in_pre or tag == "pre"
            stack.append(Place(None, in_pre=in_pre))
            _push(stack, place._replace(in_pre=in_pre, in_row=tag == "tr" and _is_data(node)))
        else:
            parts.append("\t" if tag in ("td", "th") else " " if tag in BLOCKS else "")
            is_link = tag == "a" and (node.parent is None or node.parent.tag not in HEADINGS)
            _push(stack, place._replace(in_link=in_link or is_link))
    end()
    return found


def _push(stack: list[Place], place: Place) -> None:
    child = place.node.last_child if place.node is not None else None
    while child is not None:
        stack.append(place._replace(node=child))
        child = child.prev


def _list_mark(item: LexborNode) -> str:
    """The dash or number that an item of a list begins with."""
    if item.parent is None or item.parent.tag != "ol":
        return "- "
    number, before = 1, item.prev
    while before is not None and number < MOST_NUMBERED:
        number += before.tag == "li"
        before = before.prev
    return f"{number}. "


def _is_data(row: LexborNode) -> bool:
    """Whether a row of a table holds data, and not the layout of a page."""
    cells = [cell for cell in row.iter() if cell.tag in ("td", "th")]
    return len(cells) > 1 and all(len(cell.css("p, div, table, ul, pre")) < 2 for cell in cells)


def _fold(text: str) -> str:
    """Spaces folded; the cells of a row with a bar between them."""
    cells = [re.sub(r"[^\S\n]+", " ", cell).strip() for cell in text.split("\t")]
    return re.sub(r" *\n *", "\n", " | ".join(filter(None, cells)))


def _is_chrome(node: LexborNode, is_page: bool) -> bool:
    """Whether a node is no text of its author's: navigation, a page's number, a note."""
    if node.tag == "sup" and node.css_first("a[href*='#']"):
        return True
    attributes = node.attributes
    if not attributes:
        return is_page and node.tag in CHROME
    names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
    kinds = (
        (attributes.get("epub:type") or attributes.get("role") or "").removeprefix("doc-").split()
    )
    if is_page and attributes.get("title") in ("header", "footer"):  # as LibreOffice writes them
        return True
    if "hidden" in attributes or BOOK_CHROME.search(names) or not BOOK_TYPES.isdisjoint(kinds):
        return True
    if not is_page or node.tag in ("html", "body", "main", "article"):
        return False
    is_named = bool(CHROME_NAME.search(names)) or not PAGE_ROLES.isdisjoint(kinds)
    return node.tag in CHROME or is_named


def _main(tree: LexborHTMLParser) -> LexborNode:
    """The element that holds most of a page's own text."""
    body = tree.body or tree.root
    if body is None:
        raise Unreadable("it holds no text")
    whole = sum(len(text) for text, _ in blocks(body, is_page=True))
    for selector in MAIN:
        for node in tree.css(selector)[:1]:
            if sum(len(text) for text, _ in blocks(node, is_page=True)) >= MAIN_SHARE * whole:
                return node
    return body


def _is_navigation(text: str, linked: int) -> bool:
    return linked > MOST_LINKED * len(text) and not text.rstrip().endswith((".", "!", "?", ":"))


def _html_text(data: bytes) -> str:
    """The page as text, by its own declaration where it is no UTF-8."""
    declared = re.search(rb"""charset\s*=\s*["']?([\w-]+)|encoding=["']([\w-]+)""", data[:4096])
    if declared:
        try:
            return data.decode((declared[1] or declared[2]).decode(), "strict").lstrip("\ufeff")
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data)


def _odt_code_styles(root: ElementTree.Element) -> set[str | None]:
    """The names of the styles of code: those that programs have, and what is derived from them."""
    names: set[str | None] = {name.replace(" ", "_20_") for name in CODE_STYLES}
    styles = (element for element in root.iter() if _tag(element) == "style")
    return names | {
        _attribute(each, "name")
        for each in styles
        if _attribute(each, "parent-style-name") in names
    }


def _odt_blocks(
    element: ElementTree.Element, code_styles: Collection[str | None]
) -> Iterator[tuple[str, bool]]:
    """The paragraphs, and which of them are lines of code."""
    for child in element:
        tag = _tag(child)
        if tag in ("p", "h"):
            is_code = _attribute(child, "style-name") in code_styles
            text = "".join(_odt_text(child))
            text = text if is_code else _fold(text)
            if text or is_code:
                yield text, is_code
        elif tag == "table-row":
            cells = (
                "\n".join(text for text, _ in _odt_blocks(cell, code_styles)) for cell in child
            )
            yield " | ".join(cells), False
        elif tag == "list-item":
            for number, (text, is_code) in enumerate(_odt_blocks(child, code_styles)):
                yield text if number or text.startswith("- ") else f"- {text}", is_code
        elif tag not in ODT_LISTINGS:
            yield from _odt_blocks(child, code_styles)


def _odt_text(element: ElementTree.Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        tag = _tag(child)
        if tag == "s":
            yield " " * min(80, int(_attribute(child, "c") or 1))
        yield {"tab": " ", "line-break": "\n"}.get(tag, "")
        if tag not in ("note", "annotation", "bookmark"):
            yield from _odt_text(child)
        yield child.tail or ""


def _attribute(element: ElementTree.Element, name: str) -> str | None:
    """An attribute by its name, in whichever namespace."""
    return next((value for key, value in element.items() if key.rpartition("}")[2] == name), None)


def _open(path: Path) -> zipfile.ZipFile:
    """The archive, its parts no larger than what is read. Raises Unreadable."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError):
        raise Unreadable("it is damaged") from None
    if sum(item.file_size for item in archive.infolist()) > 16 * MEMBER_BYTES:
        raise Unreadable("it unpacks to more than 1 GiB")
    return archive


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            data = file.read(MEMBER_BYTES + 1)
    except (KeyError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError):
        raise Unreadable(f"its part {name or 'package'} is missing or damaged") from None
    if len(data) > MEMBER_BYTES:
        raise Unreadable(f"its part {name} unpacks to more than {MEMBER_BYTES // 2**20} MiB")
    return data


def _xml(data: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise Unreadable(f"its XML is damaged ({error})") from None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
