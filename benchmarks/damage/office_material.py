"""Small valid files of offices and letters, by hand: each holds what its reader has to walk."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.damage.zipping import zipped

_OASIS = "urn:oasis:names:tc:opendocument:xmlns"
_OPEN = " ".join(
    f'xmlns:{name}="{_OASIS}:{path}:1.0"'
    for name, path in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style",
        "presentation": "presentation", "svg": "svg-compatible",
    }.items()
)  # fmt: skip
_SCHEMAS = "http://schemas.openxmlformats.org"
_RELATED = f"{_SCHEMAS}/officeDocument/2006/relationships"


def office_files(sentence: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of files that hold a sentence among others."""
    yield (
        "open.odt",
        open_document(
            "text",
            f'<text:h text:outline-level="1">Heading</text:h><text:p>{sentence}'
            '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation>'
            "<text:note-body><text:p>A note.</text:p></text:note-body></text:note></text:p>"
            "<table:table><table:table-row><table:table-cell><text:p>one</text:p></table:table-cell>"
            "<table:table-cell><text:p>two</text:p></table:table-cell></table:table-row></table:table>"
            "<text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>",
        ),
    )
    yield (
        "open.odp",
        open_document(
            "presentation",
            '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>Title'
            f"</text:p></draw:text-box></draw:frame><draw:custom-shape><text:p>{sentence}</text:p>"
            "</draw:custom-shape></draw:page>",
        ),
    )
    yield "slides.pptx", power_point([f"<a:p><a:r><a:t>{sentence}</a:t></a:r></a:p>"] * 2)
    yield "rich.rtf", rich_text(sentence)
    message = mail(sentence)
    yield "message.eml", message
    yield (
        "box.mbox",
        b"".join(b"From a@b Thu Jan  1 00:00:00 2026\n" + message + b"\n" for _ in "12"),
    )
    yield (
        "saved.mht",
        (
            "MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: "
            "text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
            f'<p class=3D"x">{sentence} Gr=C3=B6=C3=9Fe</p>\n--b\nContent-Type: image/png\n'
            "Content-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--b--\n"
        ).encode(),
    )
    yield (
        "said.srt",
        (
            f"1\n00:00:01,000 --> 00:00:02,000\n<i>{sentence}</i>\n\n"
            "2\n00:00:03,000 --> 00:00:04,000\nThe second\nin two lines.\n"
        ).encode(),
    )
    yield (
        "said.ass",
        (
            "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, "
            "Text\n"
            f"Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{{\\i1}}{sentence}\\Nnext, line\n"
        ).encode(),
    )


def open_document(kind: str, body: str, styles: str = "") -> bytes:
    """An OpenDocument file: a "text" or a "presentation"."""
    content = (
        f"<office:document-content {_OPEN}><office:automatic-styles>{styles}"
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}>"
        "</office:body></office:document-content>"
    )
    media = f"application/vnd.oasis.opendocument.{kind}".encode()
    return zipped({"mimetype": media, "content.xml": content.encode()})


def power_point(slides: list[str], attributes: str = "") -> bytes:
    """A presentation whose slides hold these paragraphs, in one shape each."""
    spaces = f'xmlns:a="{_SCHEMAS}/drawingml/2006/main" xmlns:r="{_RELATED}"'
    main = f'{spaces} xmlns:p="{_SCHEMAS}/presentationml/2006/main"'
    places = range(len(slides))
    members = {
        "_rels/.rels": _relations({"m": ("officeDocument", "ppt/presentation.xml")}),
        "ppt/presentation.xml": (
            f"<p:presentation {main}><p:sldIdLst>"
            + "".join(f'<p:sldId id="{256 + n}" r:id="s{n}"/>' for n in places)
            + "</p:sldIdLst></p:presentation>"
        ).encode(),
        "ppt/_rels/presentation.xml.rels": _relations(
            {f"s{n}": ("slide", f"slides/slide{n}.xml") for n in places}
        ),
    }
    for number, paragraphs in enumerate(slides):
        members[f"ppt/slides/slide{number}.xml"] = (
            f"<p:sld {main} {attributes}><p:cSld><p:spTree><p:sp><p:nvSpPr><p:cNvPr id='2' "
            f"name='x'/><p:nvPr/></p:nvSpPr><p:txBody>{paragraphs}</p:txBody></p:sp></p:spTree>"
            "</p:cSld></p:sld>"
        ).encode()
    return zipped(members)


def _relations(named: dict[str, tuple[str, str]]) -> bytes:
    lines = "".join(
        f'<Relationship Id="{identity}" Type="{_RELATED}/{kind}" Target="{target}"/>'
        for identity, (kind, target) in named.items()
    )
    space = f"{_SCHEMAS}/package/2006/relationships"
    return f'<Relationships xmlns="{space}">{lines}</Relationships>'.encode()


def rich_text(sentence: str) -> bytes:
    """An RTF file with a table, a note and an inserted object."""
    escaped = "".join(
        sign if sign.isascii() else f"\\u{(ord(sign) + 0x8000) % 0x10000 - 0x8000}?"
        for sign in sentence
    )
    return (
        "{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fcharset0 Times;}}"
        f"{escaped}{{\\super\\chftn}}{{\\footnote\\chftn A note.}}\\par "
        "\\trowd\\intbl one\\cell two\\cell\\row\\pard {\\pict\\pngblip 89504e47}end\\par}"
    ).encode("ascii")


def mail(sentence: str) -> bytes:
    """A message with a text and an attachment."""
    return (
        "From: a@example.org\nTo: b@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: "
        f"text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{sentence}\n\n--b\n"
        "Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment\n"
        "Content-Transfer-Encoding: base64\n\nJVBERi0xLjQK\n--b--\n"
    ).encode()
