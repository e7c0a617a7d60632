"""Small files of each kind, made where a test needs them."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def pdf(path: Path, pages: Sequence[Sequence[tuple[float, float, str]]], style: str = "") -> Path:
    """A PDF of lines at (x, y), in Times of 10 points. `style` is read character by character, a
    line each: "H" is a heading, "s" small type, "c" code."""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "",
        "<</Type/Font/Subtype/Type1/BaseFont/Times-Roman>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Courier>>",
    ]
    kids, styles = [], iter(style)
    fonts = {"H": "F1 16", "s": "F1 7", "c": "F2 10"}
    for page in pages:
        drawn = "".join(
            f"BT /{fonts.get(next(styles, ''), 'F1 10')} Tf {x} {y} Td ({text}) Tj ET\n"
            for x, y, text in page
        )
        objects.append(f"<</Length {len(drawn)}>>stream\n{drawn}endstream")
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources"
            f"<</Font<</F1 3 0 R/F2 4 0 R>>>>/Contents {len(objects)} 0 R>>"
        )
    objects[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    text, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(text))
        text += f"{number} 0 obj{body}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(text)
    text += f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}"
    text += f"trailer<</Size {len(places) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF"
    path.write_text(text, "latin-1")
    return path


def archive(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    """A ZIP archive of these parts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


def epub(path: Path, chapters: Sequence[str], version: str = "3.0", **more: str) -> Path:
    """A book whose chapters stand in its archive in another order than they are read in."""
    items = "".join(f'<item id="c{n}" href="c%20{n}.xhtml"/>' for n in range(len(chapters)))
    order = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    parts: dict[str, str | bytes] = {
        "META-INF/container.xml": '<c xmlns="urn:c"><rootfile full-path="OEBPS/a.opf"/></c>',
        "OEBPS/a.opf": f'<package xmlns="http://www.idpf.org/2007/opf" version="{version}">'
        f'<manifest><item id="nav" href="nav.xhtml" properties="nav"/>{items}</manifest>'
        f'<spine><itemref idref="nav"/>{order}</spine></package>',
        "OEBPS/nav.xhtml": "<html><body><nav>Contents</nav><p>All chapters</p></body></html>",
    }
    for number, chapter in reversed(list(enumerate(chapters))):
        parts[f"OEBPS/c {number}.xhtml"] = f"<html><body>{chapter}</body></html>"
    return archive(path, parts | more)


WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def docx(path: Path, paragraphs: Sequence[str]) -> Path:
    """A document of Word with a running head."""
    types = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    return archive(
        path,
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            f'content-types"><Override PartName="/word/document.xml" ContentType="{types}.'
            'document.main+xml"/></Types>',
            "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
            f'relationships"><Relationship Id="r" Type="{OFFICE}/officeDocument" '
            'Target="word/document.xml"/></Relationships>',
            "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
            "word/header1.xml": f"<w:hdr {WORD}><w:p><w:r><w:t>HEAD</w:t></w:r></w:p></w:hdr>",
        },
    )
