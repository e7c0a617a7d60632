"""HTML, EPUB, DOCX, ODT and RTF as paragraphs.

Everything becomes blocks with a blank line between them; a `br` stays a line break, so verse keeps
its lines, and `pre` stays as it is. Navigation, notes of licence and tables of contents go.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.etree import ElementTree

import mammoth
from selectolax.lexbor import LexborHTMLParser, LexborNode
from striprtf.striprtf import rtf_to_text

from nielsgpt.data.sources.booktext import remove_contents
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
    r"\b(?:toc|pg-boilerplate|pg-header|pg-footer|pagenum|pageno|page-?number)\b", re.I
)
BOOK_TYPES = frozenset(
    ("toc", "landmarks", "page-list", "pagebreak", "copyright-page", "loi", "lot", "index")
)
PAGE_ROLES = frozenset(("navigation", "banner", "contentinfo"))
Stack = list[tuple[LexborNode | None, bool, bool]]
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
    yield prose.tidy(repair(text))


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
    yield prose.tidy(remove_contents(extract_body(text)))


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
        html = mammoth.convert_to_html(file).value
    html = re.sub(r'<img [^>]*src="data:[^"]*"[^>]*>', "", html)
    tree = LexborHTMLParser(html)
    found = blocks(tree.body, is_page=False) if tree.body else []
    kept = [text for text, _ in found if not prose.LEADERS.search(text)]
    reading.left_out["lines of contents"] += len(found) - len(kept)
    yield prose.tidy(repair("\n\n".join(kept)))


def read_odt(path: Path, reading: Reading) -> Iterator[str]:
    """A document of LibreOffice: its paragraphs and headings, without contents and notes."""
    with _open(path) as archive:
        root = _xml(_member(archive, "content.xml"))
    body = next((element for element in root.iter() if _tag(element) == "text"), root)
    yield prose.tidy(repair("\n\n".join(filter(None, _odt_blocks(body)))))


def read_rtf(path: Path, reading: Reading) -> Iterator[str]:
    """A document in rich text."""
    source = path.read_bytes()
    if not source.lstrip().startswith(b"{\\rtf"):
        raise Unreadable("it is no rich text")
    text = str(rtf_to_text(source.decode("latin-1"), errors="ignore"))  # type: ignore[no-untyped-call]
    yield prose.tidy(repair(re.sub(r"\n(?!\n)", "\n\n", text)))


def html_text(html: str) -> str:
    """The text of a piece of HTML, as of a mail."""
    tree = LexborHTMLParser(html)
    return "\n\n".join(text for text, _ in blocks(tree.body, is_page=False)) if tree.body else ""


def blocks(root: LexborNode, is_page: bool) -> list[tuple[str, int]]:
    """The blocks of text below a node, and how many characters of each are links."""
    found: list[tuple[str, int]] = []
    parts: list[str] = []
    linked = 0

    def end(verbatim: bool = False) -> None:
        nonlocal linked
        text = "".join(parts)
        text = text.strip("\n") if verbatim else _fold(text)
        if text.strip():
            found.append((text, linked))
        parts.clear()
        linked = 0

    # A stack and no recursion: a hostile page nests a million deep.
    stack: Stack = [(root, False, False)]
    while stack:
        node, in_link, in_pre = stack.pop()
        if node is None:
            end(in_pre)
            continue
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            parts.append(text if in_pre else re.sub(r"\s+", " ", text))
            linked += len(text.strip()) if in_link else 0
        elif tag == "br":
            parts.append("\n")
        elif tag in ("td", "th"):
            parts.append("\t")
            _push(stack, node, in_link, in_pre)
        elif tag in SILENT or tag.startswith("-") or _is_chrome(node, is_page):
            continue
        elif tag in BLOCKS:
            end(in_pre)
            stack.append((None, False, in_pre or tag == "pre"))
            _push(stack, node, in_link, in_pre or tag == "pre")
        else:
            is_link = tag == "a" and (node.parent is None or node.parent.tag not in HEADINGS)
            _push(stack, node, in_link or is_link, in_pre)
    end()
    return found


def _push(stack: Stack, node: LexborNode, in_link: bool, in_pre: bool) -> None:
    child = node.last_child
    while child is not None:
        stack.append((child, in_link, in_pre))
        child = child.prev


def _fold(text: str) -> str:
    """Spaces folded; the cells of a row with a bar between them."""
    cells = [re.sub(r"[^\S\n]+", " ", cell).strip() for cell in text.split("\t")]
    return re.sub(r" *\n *", "\n", " | ".join(filter(None, cells)))


def _is_chrome(node: LexborNode, is_page: bool) -> bool:
    attributes = node.attributes
    if not attributes:
        return is_page and node.tag in CHROME
    names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
    kinds = (
        (attributes.get("epub:type") or attributes.get("role") or "").removeprefix("doc-").split()
    )
    if "hidden" in attributes or BOOK_CHROME.search(names) or not BOOK_TYPES.isdisjoint(kinds):
        return True
    if not is_page or node.tag in ("html", "body", "main", "article"):
        return False
    is_named = bool(CHROME_NAME.search(names)) or not {
        "navigation",
        "banner",
        "contentinfo",
    }.isdisjoint(kinds)
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


def _odt_blocks(element: ElementTree.Element) -> Iterator[str]:
    for child in element:
        tag = _tag(child)
        if tag in ("p", "h"):
            yield _fold("".join(_odt_text(child)))
        elif tag == "table-row":
            yield " | ".join("\n".join(_odt_blocks(cell)) for cell in child)
        elif tag not in (
            "table-of-content",
            "alphabetical-index",
            "tracked-changes",
            "illustration-index",
        ):
            yield from _odt_blocks(child)


def _odt_text(element: ElementTree.Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        tag = _tag(child)
        yield {"s": " ", "tab": " ", "line-break": "\n"}.get(tag, "")
        if tag not in ("note", "annotation", "bookmark"):
            yield from _odt_text(child)
        yield child.tail or ""


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
