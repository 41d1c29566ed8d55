"""Documents with all that office programs put on a page, written by LibreOffice itself.

    python -m benchmarks.office_documents FOLDER

Each is described once as flat OpenDocument, and LibreOffice stores it as Word, OpenDocument, RTF,
HTML and EPUB: tracked changes, content controls, forms, text boxes, shapes, footnotes, endnotes,
fields, equations, nested and merged tables, lists, comments, heads, several scripts, slides.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from benchmarks.libre_office import converted

_SPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
    for name, space in (
        ("office", "office"), ("style", "style"), ("text", "text"), ("table", "table"),
        ("draw", "drawing"), ("fo", "xsl-fo-compatible"), ("svg", "svg-compatible"),
        ("number", "datastyle"), ("form", "form"), ("presentation", "presentation"),
    )
)  # fmt: skip
_OTHERS = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:math="http://www.w3.org/1998/Math/MathML" '
    'xmlns:loext="urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0"'
)
_LEVELS = (("1", ".", 1), ("a", ")", 1), ("i", ".", 1), ("1", ".", 4))
_STYLES = "".join(
    f'<style:style style:name="{name}" style:family="{family}" {more}>{inner}</style:style>'
    for name, family, more, inner in (
        ("Heading_1", "paragraph", 'style:default-outline-level="1"', ""),
        ("Heading_2", "paragraph", 'style:default-outline-level="2"', ""),
        ("Hidden", "text", "", '<style:text-properties text:display="none"/>'),
        ("Bold", "text", "", '<style:text-properties fo:font-weight="bold"/>'),
        ("Box", "graphic", "", '<style:graphic-properties fo:border="0.5pt solid #000000"/>'),
    )
)
_OUTLINE = (
    '<text:outline-style style:name="Outline"><text:outline-level-style text:level="1" '
    'style:num-format="1"/><text:outline-level-style text:level="2" style:num-format="1" '
    'text:display-levels="2"/></text:outline-style>'
)
_NUMBERED = (
    '<text:list-style style:name="Numbered">'
    + "".join(
        f'<text:list-level-style-number text:level="{level}" style:num-format="{form}" '
        f'style:num-suffix="{after}" text:display-levels="{shown}"/>'
        for level, (form, after, shown) in enumerate(_LEVELS, start=1)
    )
    + '</text:list-style><text:list-style style:name="Bullets">'
    '<text:list-level-style-bullet text:level="1" text:bullet-char="•"/></text:list-style>'
)
_PAGE = (
    '<style:page-layout style:name="Page"><style:page-layout-properties fo:page-width="21cm" '
    'fo:page-height="29.7cm" fo:margin="2cm"/><style:header-style/><style:footer-style/>'
    "</style:page-layout>"
)


def flat(body: str, *, kind: str = "text", head: str = "Running head of the manual") -> str:
    """A flat OpenDocument file."""
    masters = (
        f'<style:master-page style:name="Standard" style:page-layout-name="Page"><style:header>'
        f"<text:p>{head}</text:p></style:header><style:footer><text:p>Page <text:page-number/>"
        "</text:p></style:footer></style:master-page>"
        if kind == "text"
        else '<style:master-page style:name="Standard" style:page-layout-name="Page"/>'
    )
    mime = {"text": "text", "presentation": "presentation"}[kind]
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {_SPACES} {_OTHERS} '
        f'office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.{mime}">'
        f"<office:styles>{_STYLES}{_OUTLINE if kind == 'text' else ''}{_NUMBERED}</office:styles>"
        f"<office:automatic-styles>{_PAGE}</office:automatic-styles><office:master-styles>{masters}"
        f"</office:master-styles><office:body><office:{kind}>{body}</office:{kind}></office:body>"
        "</office:document>"
    )


def p(inner: str, style: str = "Standard") -> str:
    """A paragraph."""
    return f'<text:p text:style-name="{style}">{inner}</text:p>'


def h(inner: str, level: int = 1) -> str:
    """A heading."""
    return (
        f'<text:h text:style-name="Heading_{level}" text:outline-level="{level}">{inner}</text:h>'
    )


def note(inner: str, mark: str, kind: str = "footnote") -> str:
    """A footnote or an endnote."""
    return (
        f'<text:note text:id="{kind}{mark}" text:note-class="{kind}"><text:note-citation>{mark}'
        f"</text:note-citation><text:note-body>{p(inner)}</text:note-body></text:note>"
    )


def items(*entries: str, style: str = "Numbered") -> str:
    """A list; an entry is one paragraph, or blocks."""
    inner = "".join(
        f"<text:list-item>{one if one.startswith('<') else p(one)}</text:list-item>"
        for one in entries
    )
    return f'<text:list text:style-name="{style}">{inner}</text:list>'


def box(inner: str, anchor: str = "paragraph") -> str:
    """A text box."""
    return (
        f'<draw:frame draw:style-name="Box" text:anchor-type="{anchor}" svg:width="6cm" '
        f'svg:height="2cm"><draw:text-box>{inner}</draw:text-box></draw:frame>'
    )


def shape(inner: str) -> str:
    """A rectangle with text in it."""
    return (
        '<draw:custom-shape text:anchor-type="paragraph" svg:width="5cm" svg:height="2cm" '
        f'svg:x="1cm" svg:y="1cm">{inner}<draw:enhanced-geometry svg:viewBox="0 0 21600 21600" '
        'draw:type="rectangle" draw:enhanced-path="M 0 0 L 21600 0 21600 21600 0 21600 0 0 Z N"'
        "/></draw:custom-shape>"
    )


def math(inner: str) -> str:
    """An equation in its line; content MathML's presentation elements without prefixes."""
    return (
        '<draw:frame text:anchor-type="as-char" svg:width="3cm" svg:height="1cm"><draw:object>'
        f'<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mrow>{inner}</mrow>'
        "</semantics></math></draw:object></draw:frame>"
    )


def table(*rows: Iterable[str], columns: int) -> str:
    """A table; a cell is text, blocks, or a whole cell element."""
    made = ""
    for row in rows:
        cells = "".join(
            one if one.startswith(("<table:table-cell", "<table:covered")) else cell(one)
            for one in row
        )
        made += f"<table:table-row>{cells}</table:table-row>"
    head = f'<table:table-column table:number-columns-repeated="{columns}"/>'
    return f"<table:table>{head}{made}</table:table>"


def cell(inner: str, *, across: int = 1, down: int = 1) -> str:
    """A cell, also one over several columns or rows."""
    inner = inner if inner.startswith(("<text:", "<table:")) else p(inner)
    return (
        f'<table:table-cell table:number-columns-spanned="{across}" '
        f'table:number-rows-spanned="{down}">{inner}</table:table-cell>'
    )


_COVERED = "<table:covered-table-cell/>"


def comment(inner: str) -> str:
    """A comment at this place."""
    return (
        "<office:annotation><dc:creator>Reviewer</dc:creator><dc:date>2026-01-02T03:04:05</dc:date>"
        f"<text:p>{inner}</text:p></office:annotation>"
    )


def manual() -> str:
    """Headings with numbers, lists, fields, notes, comments, hidden text."""
    variables = (
        '<text:sequence-decls><text:sequence-decl text:display-outline-level="0" '
        'text:name="Figure"/></text:sequence-decls>'
    )
    contents = (
        '<text:table-of-content text:name="Contents"><text:table-of-content-source '
        'text:outline-level="2"/><text:index-body><text:index-title text:name="Title">'
        f"{p('Contents of the manual')}</text:index-title>{p('1 Installation<text:tab/>1')}"
        f"{p('1.1 Unpacking<text:tab/>1')}{p('2 Maintenance<text:tab/>2')}</text:index-body>"
        "</text:table-of-content>"
    )
    return flat(
        variables
        + p("Handbook of the circulation pump, model Quebec")
        + contents
        + h("Installation")
        + p(
            "The pump is delivered dry"
            + note("Residues of the test run with glycol are harmless.", "1")
            + " and has to be filled before its first start"
            + note("See the standard on closed circuits, part seven.", "i", "endnote")
            + comment("Is glycol still true?")
            + "."
        )
        + h("Unpacking", 2)
        + items(
            "Open the crate from above.",
            p("Remove the wedges:")
            + items("the wooden one", "both of rubber").replace('text:style-name="Numbered"', ""),
            "Lift the pump by its eyelets.",
        )
        + items("a torque wrench", "two sealing rings", style="Bullets")
        + h("Maintenance")
        + p(
            'Every <text:span text:style-name="Bold">two</text:span> years the seal is replaced, '
            "as "
            '<text:bookmark-ref text:reference-format="text" text:ref-name="fig">Figure 1'
            "</text:bookmark-ref>"
            '<text:span text:style-name="Hidden"> secretly</text:span> shows.'
        )
        + p(
            '<text:bookmark-start text:name="fig"/>Figure <text:sequence text:name="Figure" '
            'text:formula="ooow:Figure+1" style:num-format="1">1</text:sequence>'
            '<text:bookmark-end text:name="fig"/>: section through the seal'
        )
        + p(
            "Written by <text:initial-creator>Ada Example</text:initial-creator> on "
            '<text:date text:fixed="true" text:date-value="2026-03-04">4 March 2026</text:date>; '
            'the address is <text:a xlink:type="simple" xlink:href="http://pump.example/">on the '
            "web</text:a>.<text:line-break/>A second line<text:tab/>after a tab"
            '<text:s text:c="3"/>and three spaces.'
        )
        + '<text:section text:name="Imprint"><text:p>Imprint within a section.</text:p>'
        "</text:section>"
        + p(
            "Last words"
            + note("A second end, after the first.", "ii", "endnote")
            + " of the handbook"
            + note("And a footnote with <text:span>two</text:span> parts.", "2")
            + "."
        )
    )


def contract() -> str:
    """Tracked changes, content controls, forms, comments."""
    who = (
        "<office:change-info><dc:creator>Reviewer</dc:creator>"
        "<dc:date>2026-01-02T03:04:05</dc:date></office:change-info>"
    )

    def deleted(number: int, inner: str) -> str:
        return (
            f'<text:changed-region text:id="c{number}"><text:deletion>{who}{inner}'
            "</text:deletion></text:changed-region>"
        )

    def inserted(number: int) -> str:
        return (
            f'<text:changed-region text:id="c{number}"><text:insertion>{who}</text:insertion>'
            "</text:changed-region>"
        )

    def control(attributes: str, inner: str) -> str:
        return f"<loext:content-control {attributes}>{inner}</loext:content-control>"

    return flat(
        f"<text:tracked-changes>{deleted(1, p('six'))}{inserted(2)}{inserted(3)}"
        f"{deleted(4, p(' of the first draft') + p(''))}</text:tracked-changes>"
        + h("Contract about the delivery of valves")
        + p(
            'The valve opens at <text:change text:change-id="c1"/>'
            '<text:change-start text:change-id="c2"/>seven<text:change-end text:change-id="c2"/> '
            "bar, unless the annex says otherwise."
        )
        + '<text:change-start text:change-id="c3"/>'
        + p("This whole paragraph was added by a reviewer.")
        + '<text:change-end text:change-id="c3"/>'
        + p('Two paragraphs were joined here<text:change text:change-id="c4"/> and go on as one.')
        + p(
            "Client: "
            + control('loext:showing-place-holder="false"', "Example Limited")
            + ", delivery "
            + control(
                'loext:dropdown="true"',
                '<loext:list-item loext:display-text="by rail" loext:value="rail"/>'
                '<loext:list-item loext:display-text="by road" loext:value="road"/>by road',
            )
            + ", insured "
            + control(
                'loext:checkbox="true" loext:checked="true" loext:checked-state="☒" '
                'loext:unchecked-state="☐"',
                "☒",
            )
            + ", signed "
            + control(
                'loext:date="true" loext:date-format="YYYY" loext:current-date="2026"', "2026"
            )
            + "."
        )
        + p(
            'Price: <text:text-input text:description="amount">four thousand</text:text-input>'
            " euros"
            + comment("Too much, says finance.")
            + ", payable "
            + '<text:variable-set text:name="term" office:value-type="string" '
            'office:string-value="monthly">monthly</text:variable-set>.'
        )
        + h("Place and date", 2)
        + p("Signed in duplicate.")
    )


def tables() -> str:
    """Nested and merged tables, lists and notes and boxes in cells."""
    inner = table(("inner north", "inner east"), ("inner south", "inner west"), columns=2)
    return flat(
        h("Tables of the survey")
        + p("The first one has merged cells.")
        + table(
            (cell("Wide over two columns", across=2), _COVERED, "third"),
            (cell("Tall over two rows", down=2), "middle one", "right one"),
            (_COVERED, "middle two", "right two"),
            ("left three", cell("Block of four", across=2, down=2), _COVERED),
            ("left four", _COVERED, _COVERED),
            columns=3,
        )
        + p("The second one holds a table.")
        + table(
            ("outer left", f"{p('before the inner one')}{inner}{p('after the inner one')}"),
            ("outer below", "outer corner"),
            columns=2,
        )
        + p("The third one holds lists, notes and boxes.")
        + table(
            (items("first in a cell", "second in a cell"), "plain"),
            (
                p("called" + note("A note out of a cell.", "1") + " here"),
                p("anchor" + box(p("Box within a cell."))),
            ),
            (p("one") + p("two paragraphs"), ""),
            columns=2,
        )
        + p("After all tables.")
    )


def science() -> str:
    """Equations, text boxes, shapes, captions."""
    root = (
        "<msqrt><mrow><msup><mi>b</mi><mn>2</mn></msup><mo>-</mo><mn>4</mn><mi>a</mi><mi>c</mi>"
        "</mrow></msqrt>"
    )
    quadratic = (
        "<mi>x</mi><mo>=</mo><mfrac><mrow><mo>-</mo><mi>b</mi><mo>±</mo>"
        f"{root}</mrow><mrow><mn>2</mn><mi>a</mi></mrow></mfrac>"
    )
    total = (
        "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>"
        "<msub><mi>w</mi><mi>i</mi></msub>"
    )
    grouped = (
        f'<draw:g text:anchor-type="paragraph">{shape(p("Inlet"))}{shape(p("Outlet"))}</draw:g>'
    )
    return flat(
        h("On the flow through narrow pipes")
        + p(f"The roots are {math(quadratic)} as everyone knows, and the weights {math(total)}.")
        + p(
            "A paragraph to which a box is anchored."
            + box(p("Remark in a box.") + p("Its second line."))
        )
        + p(
            "Another one, with a frame in the line "
            + box(p("as a character"), "as-char")
            + " here."
        )
        + p("A drawing follows." + shape(p("Words in a rectangle")) + grouped)
        + p(
            "A picture with a caption."
            + box(p("Figure 1: flow against pressure" + note("Measured in March.", "1")))
        )
        + items(
            'Density <text:span text:style-name="Bold">ρ</text:span> of water',  # noqa: RUF001
            "Viscosity μ at 20 °C",
        )
        + p("H<text:span>2</text:span>O at 1 013 hPa and m<text:span>3</text:span>.")
    )


def scripts() -> str:
    """Several scripts, directions, pronunciations, signs."""
    ruby = (
        "<text:ruby><text:ruby-base>漢字</text:ruby-base><text:ruby-text>かんじ</text:ruby-text>"
        "</text:ruby>"
    )
    return flat(
        h("Ein Satz in vielen Schriften")
        + p("Größe, Füße, Äpfel und Œuvre: Łódź, Škoda, Ångström, İstanbul, Đà Nẵng.")
        + p("Война и мир, часть первая; Ελληνικά με τόνους και πολυτονικό ᾠδή.")
        + p("עברית מימין לשמאל עם 123 מספרים; العربية من اليمين مع أرقام ٤٥٦.")
        + p("हिन्दी में एक वाक्य। தமிழ் வாக்கியம். ภาษาไทยไม่มีช่องว่าง")
        + p(f"日本語の{ruby}と仮名。中文没有空格。한국어는 띄어쓰기가 있다.")
        + p("Soft­hyphen, non breaking, zero​width, e\u0301 decomposed, ﬁne ligature.")
        + p("Signs: ½ ⅓ № ℃ € ₿ → ⇒ ≤ ∞ ♥ 😀 👩‍🔬 𝔘𝔫𝔦𝔠𝔬𝔡𝔢.")  # noqa: RUF001
        + p("Fußnote" + note("Примечание на русском языке.", "1") + " am Ende.")
        + table(("Sprache", "言語"), ("Deutsch", "ドイツ語"), ("Ελληνικά", "ギリシャ語"), columns=2)
    )


def slides() -> str:
    """Slides with titles, outlines, tables, groups and the speaker's notes."""
    place = 'svg:width="10cm" svg:height="4cm" svg:x="2cm" svg:y="5cm"'

    def frame(inner: str, kind: str, at: int) -> str:
        return (
            f'<draw:frame presentation:class="{kind}" svg:width="20cm" svg:height="3cm" '
            f'svg:x="2cm" svg:y="{at}cm"><draw:text-box>{inner}</draw:text-box></draw:frame>'
        )

    def slide(title: str, body: str, said: str) -> str:
        notes = (
            f"<presentation:notes>{frame(p(said), 'notes', 10)}</presentation:notes>"
            if said
            else ""
        )
        return (
            f'<draw:page draw:name="{title}" draw:master-page-name="Standard">'
            f"{frame(p(title), 'title', 1)}{body}{notes}</draw:page>"
        )

    grid = table(("quarter", "litres"), ("first", "eleven"), ("second", "twelve"), columns=2)
    return flat(
        slide(
            "Pumps in one hour",
            frame(
                items(
                    "why they fail",
                    p("how they last") + items("seals", "bearings"),
                    style="Bullets",
                ),
                "outline",
                5,
            ),
            "Greet everybody and wait for quiet.",
        )
        + slide(
            "Numbers of the year",
            f"<draw:frame {place}>{grid}</draw:frame>"
            + shape(p("Best year so far")).replace('text:anchor-type="paragraph"', ""),
            "",
        )
        + slide("Спасибо за внимание", frame(p("pump@example.org"), "subtitle", 5), "End in time."),
        kind="presentation",
    )


TEXTS = {
    "manual": manual, "contract": contract, "tables": tables, "science": science,
    "scripts": scripts,
}  # fmt: skip
AS = (".docx", ".odt", ".rtf", ".html", ".epub")


def make(folder: Path) -> list[Path]:
    """Write all documents into a folder; returns their paths."""
    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    texts = []
    for name, text in TEXTS.items():
        texts.append(sources / f"{name}.fodt")
        texts[-1].write_text(text(), "utf-8")
    talk = sources / "slides.fodp"
    talk.write_text(slides(), "utf-8")
    for suffix in AS:
        converted(texts, suffix, folder)
    for suffix in (".pptx", ".odp"):
        converted([talk], suffix, folder)
    return sorted(path for path in folder.iterdir() if path.suffix in (*AS, ".pptx", ".odp"))


def main() -> None:
    """Write the documents, and say what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    for path in make(given.folder.resolve()):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
