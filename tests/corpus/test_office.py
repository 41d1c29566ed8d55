"""Documents of offices, letters and subtitles: all that a reader of them sees, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.damage.office_material import mail, open_document, power_point
from benchmarks.damage.zipping import zipped
from cptstudio.corpus.file_reading import left_out_in_words
from cptstudio.corpus.readers.dispatch import read_documents
from cptstudio.corpus.readers.items import Unreadable, items_of
from cptstudio.corpus.readers.number_forms import number_in
from cptstudio.corpus.sources import find_sources

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_STRICT = "http://purl.oclc.org/ooxml"
_SPACES = (
    f'xmlns:w="{_W}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
)
_RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def read(path: Path, data: bytes) -> tuple[list[str], list[str]]:
    """The documents of a file and the notes about it."""
    path.write_bytes(data)
    files, _ = find_sources([path])
    (item,) = items_of(files[0])
    texts = ["".join(parts) for parts in read_documents(item, "text")]
    item.findings.finish()
    return texts, [*left_out_in_words(item.left_out), *item.notes]


def word(body: str, *, strict: bool = False, **parts: str) -> bytes:
    """A Word file; parts are named by the kind of their relation."""
    spaces, related = _SPACES, _RELATED
    if strict:
        spaces = spaces.replace(_W, f"{_STRICT}/wordprocessingml/main")
        related = f"{_STRICT}/officeDocument/relationships"
    relations = "".join(
        f'<Relationship Id="r{kind}" Type="{related}/{kind}" Target="{kind}.xml"/>'
        for kind in parts
    )
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    members = {
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="a" '
        f'Type="{related}/officeDocument" Target="/word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}">{relations}'
        "</Relationships>",
        "word/document.xml": f"<w:document {spaces}><w:body>{body}</w:body></w:document>",
    }
    for kind, inner in parts.items():
        members[f"word/{kind}.xml"] = f"<w:{kind} {spaces}>{inner}</w:{kind}>"
    return zipped({name: text.encode() for name, text in members.items()})


def p(inner: str, properties: str = "") -> str:
    """A paragraph of Word's; text that is no element becomes a run."""
    inner = inner if inner.startswith("<") else f"<w:r><w:t>{inner}</w:t></w:r>"
    return f"<w:p><w:pPr>{properties}</w:pPr>{inner}</w:p>"


def field(instruction: str, result: str) -> str:
    marks = [
        f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end")
    ]
    shown = f"<w:r><w:t>{result}</w:t></w:r>"
    return f"{marks[0]}<w:r>{instruction}</w:r>{marks[1]}{shown}{marks[2]}"


def test_word_notes_fields_boxes_and_what_is_hidden(tmp_path: Path) -> None:
    box = f"<w:txbxContent>{p('In the box.')}</w:txbxContent>"
    nested = "<w:instrText>IF </w:instrText></w:r>" + field(
        "<w:instrText>DATE</w:instrText>", "not shown"
    ) + "<w:r><w:instrText>x</w:instrText>"  # fmt: skip
    body = (
        p('<w:r><w:t>Called</w:t><w:footnoteReference w:id="2"/><w:t> twice</w:t></w:r>'
          '<w:r><w:endnoteReference w:id="5"/></w:r>')
        + p(field(nested, "the result"))
        + p(field("<w:instrText>SET t x</w:instrText>", "x") + "<w:r><w:t>set</w:t></w:r>")
        + p('<w:fldSimple w:instr="AUTHOR"><w:r><w:t>Somebody</w:t></w:r></w:fldSimple>')
        + p("<w:r><w:t>Anchor.</w:t><mc:AlternateContent><mc:Choice Requires='wps'><wps:txbx>"
            f"{box}</wps:txbx></mc:Choice><mc:Fallback>{box}</mc:Fallback>"
            "</mc:AlternateContent></w:r>")
        + p("<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:t>seen</w:t></w:r>")
        + p("<w:r><w:t>joined </w:t></w:r>", "<w:rPr><w:del/></w:rPr>") + p("with this")
        + p('<w:r><w:sym w:font="Symbol" w:char="F061"/>'
            '<w:sym w:font="Wingdings" w:char="F0FC"/></w:r>')
        + p(field(r'<w:instrText>SYMBOL 98 \f "Symbol"</w:instrText>', ""))
        + p(field(r"<w:instrText>EQ \o\ad(\s\up 11(kan),漢) \f(1,2)</w:instrText>", ""))
        + p('<w:r><w:t>one</w:t><w:br w:type="page"/><w:t>two</w:t></w:r>')
    )  # fmt: skip
    texts, notes = read(
        tmp_path / "a.docx",
        word(
            body,
            footnotes='<w:footnote w:id="2">'
            + p("<w:r><w:footnoteRef/></w:r><w:r><w:t> A foot.</w:t></w:r>")
            + "</w:footnote>",
            endnotes=f'<w:endnote w:id="5">{p("An end.")}</w:endnote>',
            header=p("Running head"),
            comments=f"<w:comment>{p('A remark')}</w:comment>",
        ),
    )
    assert texts == [
        "Called[1] twice[i]\n\n[1] A foot.\n\nthe result\n\nset\n\nSomebody\n\nAnchor."
        "\n\nIn the box.\n\nseen\n\njoined with this\n\n\N{GREEK SMALL LETTER ALPHA}✓\n\n"
        "\N{GREEK SMALL LETTER BETA}\n\n漢 1/2\n\none\ntwo\n\n[i] An end."
    ]
    assert notes == [
        "1 headers and footers left out",
        "1 comments left out",
        "1 passages of hidden text left out",
    ]


def test_word_numbers_of_lists_and_equations(tmp_path: Path) -> None:
    levels = "".join(
        f'<w:lvl w:ilvl="{n}"><w:start w:val="1"/><w:numFmt w:val="{form}"/>'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
        for n, (form, text) in enumerate([("decimal", "%1."), ("lowerLetter", "%1.%2)")])
    )
    numbering = (
        f'<w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
        '<w:num w:numId="2"><w:abstractNumId w:val="7"/>'
        '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>'
    )
    styles = (
        '<w:style w:type="paragraph" w:styleId="Base"><w:pPr><w:numPr><w:numId w:val="1"/>'
        '</w:numPr></w:pPr></w:style><w:style w:type="paragraph" w:styleId="Item">'
        '<w:basedOn w:val="Base"/></w:style>'
    )

    def item(level: int, number: int = 1) -> str:
        return f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'

    def m(name: str, *inner: str) -> str:
        return f"<m:{name}>{''.join(inner)}</m:{name}>"

    def t(text: str) -> str:
        return m("r", m("t", text))

    root = m("rad", m("deg"), m("e", m("sSup", m("e", t("b")), m("sup", t("2"))), t("-4ac")))
    quadratic = m("f", m("num", t("-b±"), root), m("den", t("2a")))
    total = m(
        "nary", '<m:naryPr><m:chr m:val="∑"/></m:naryPr>', m("sub", t("i=1")), m("sup", t("n")),
        m("e", m("sSub", m("e", t("x")), m("sub", t("i")))),
    )  # fmt: skip
    body = (
        p("first", '<w:pStyle w:val="Item"/>') + p("inner", item(1)) + p("inner", item(1))
        + p("second", item(0)) + p("inner again", item(1)) + p("fifth", item(0, 2))
        + p("none", '<w:pStyle w:val="Item"/><w:numPr><w:numId w:val="0"/></w:numPr>')
        + p("<w:r><w:t>where </w:t></w:r>" + m("oMath", t("x="), quadratic))
        + p(m("oMathPara", m("oMath", total)))
    )  # fmt: skip
    texts, notes = read(tmp_path / "a.docx", word(body, numbering=numbering, styles=styles))
    assert texts[0].split("\n\n") == [
        "1. first", "1.a) inner", "1.b) inner", "2. second", "2.a) inner again", "5. fifth", "none",
        "where x=(-b±√(b^2-4ac))/2a", "∑_(i=1)^n x_i",
    ]  # fmt: skip
    assert notes == []


def test_numbers_are_written_as_their_form_says(tmp_path: Path) -> None:
    """What LibreOffice 7.4 prints of the same forms, where it knows them."""
    told = {
        "ideographLegalTraditional": {1: "壹", 4: "肆", 10: "壹拾", 25: "貳拾伍"},
        "chineseCounting": {3: "三", 10: "十", 11: "十一", 105: "一百零五", 110: "一百一十"},
        "japaneseCounting": {10: "十", 111: "百十一"}, "ideographZodiac": {1: "子", 13: "13"},
        "ideographDigital": {10: "一〇"}, "hebrew1": {1: "א", 15: "טו", 21: "כא"},  # noqa: RUF001
        "lowerLetter": {28: "bb"}, "upperRoman": {1994: "MCMXCIV"}, "ordinal": {2: "2"},
        "decimalEnclosedCircle": {2: "②"}, "arabicAlpha": {2: "ب"}, "decimalZero": {7: "07"},
        "russianLower": {3: "в"}, "numberInDash": {3: "- 3 -"},
    }  # fmt: skip
    found = {form: {n: number_in(form, n) for n in numbers} for form, numbers in told.items()}
    assert found == told
    numbering = (
        '<w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:start w:val="9"/>'
        '<mc:AlternateContent><mc:Choice Requires="w14"><w:numFmt w:val="custom" '
        'w:format="001, 002, 003, ..."/></mc:Choice><mc:Fallback><w:numFmt w:val="decimal"/>'
        '</mc:Fallback></mc:AlternateContent><w:lvlText w:val="%1."/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
    )
    item = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
    texts, _ = read(tmp_path / "a.docx", word(p("a", item) + p("b", item), numbering=numbering))
    assert texts == ["009. a\n\n010. b"]


def test_strict_word_damaged_word_and_a_field_that_never_ends(tmp_path: Path) -> None:
    open_field = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:t>after it</w:t></w:r>'
    assert read(tmp_path / "a.docx", word(p("Strict.") + p(open_field), strict=True)) == (
        ["Strict.\n\nafter it"], [],
    )  # fmt: skip
    texts, notes = read(
        tmp_path / "b.docx", word(p("Before.") + p("<w:r a:b='1'><w:t>&</w:t></w:r>"))
    )
    assert texts[0].startswith("Before.")
    assert "word/document.xml: damaged XML" in notes[0]


def test_open_document(tmp_path: Path) -> None:
    styles = (
        '<style:style style:name="H"><style:text-properties text:display="none"/></style:style>'
        '<text:list-style style:name="L"><text:list-level-style-number text:level="1" '
        'style:num-format="1" style:num-suffix="."/></text:list-style>'
    )
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p>"
        "</text:deletion></text:changed-region></text:tracked-changes>"
        "<text:p>  A\n  text<text:s text:c=\"2\"/>with<text:tab/>signs"
        '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation>'
        "<text:note-body><text:p>A foot.</text:p></text:note-body></text:note></text:p>"
        '<text:p><text:span text:style-name="H">hidden</text:span>seen<office:annotation>'
        "<text:p>remark</text:p></office:annotation><draw:frame><draw:text-box><text:p>In the box."
        "</text:p></draw:text-box></draw:frame></text:p>"
        '<text:list text:style-name="L"><text:list-item><text:p>one</text:p></text:list-item>'
        "<text:list-item><text:p>two</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>wide</text:p></table:table-cell>"
        "<table:covered-table-cell/><table:table-cell><text:p>right</text:p></table:table-cell>"
        "</table:table-row></table:table>"
    )  # fmt: skip
    texts, notes = read(tmp_path / "a.odt", open_document("text", body, styles))
    assert texts == [
        "A text  with\tsigns[1]\n\n[1] A foot.\n\nseen\n\nIn the box.\n\n1. one\n\n2. two\n\n"
        "wide\t\tright"
    ]
    assert notes == ["1 comments left out", "1 passages of hidden text left out"]


def test_power_point_tables_numbers_and_hidden_slides(tmp_path: Path) -> None:
    numbered = (
        '<a:p><a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr><a:r><a:t>{}</a:t></a:r></a:p>'
    )
    paragraphs = "<a:p><a:r><a:t>Head</a:t></a:r><a:br/><a:r><a:t>line</a:t></a:r></a:p>"
    slides = [paragraphs + numbered.format("one") + numbered.format("two"), "<a:p/>"]
    assert read(tmp_path / "a.pptx", power_point(slides)) == (["Head\nline\n1. one\n2. two"], [])
    with_hidden = power_point(slides, 'show="0"')
    assert read(tmp_path / "b.pptx", with_hidden)[1] == ["2 hidden slides left out"]


def test_rich_text(tmp_path: Path) -> None:
    source = (
        rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Times;}{\f1\fcharset204 Cyr;}"
        rb"{\f2\fcharset2 Symbol;}{\f3\fcharset128 MS;}}{\*\generator x;}{\header head}"
        rb"{\v hidden}{\deleted gone}{\f1 \'cc\'e8\'f0} {\f2 a} {\f3 \'93\'fa\'96\'7b} "
        rb"{\field{\*\fldinst SYMBOL 98 \\f \"Symbol\"}{\fldrslt\f2}}"
        rb"\u-10179?\u-8704? "
        rb"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}\chftn{\footnote\chftn A foot.}\par "
        rb"{\listtext 1.\tab}item\par {\listtext\f2\'b7\tab}bullet\par "
        rb"\trowd\intbl a\cell b\cell\row\pard after{\*\shpinst{\sp{\sn x}{\sv y}}"
        rb"{\shptxt Boxed.\par}}{\*\shpinst{\sp{\sn gtextUNICODE}{\sv Art}}}"
        rb"{\pict\bin3 }}}\par}"
    )
    texts, notes = read(tmp_path / "a.rtf", source)
    assert texts == [
        "Мир \N{GREEK SMALL LETTER ALPHA} 日本 \N{GREEK SMALL LETTER BETA}😀 link[1]\n\n"
        "[1] A foot.\n\n1. item\n\nbullet\n\n"
        "a\tb\n\nafter\n\nBoxed.\n\nArt"
    ]
    assert notes == ["1 headers and footers left out", "1 passages of hidden text left out"]


def test_rich_text_endnotes_inner_tables_equations_and_silent_fields(tmp_path: Path) -> None:
    source = (
        rb"{\rtf1\ansi one\chftn{\footnote\ftnalt\chftn Last.} two\chftn{\footnote\chftn Foot.}"
        rb" three\chftn{\footnote\ftnalt\chftn Very last.}\par "
        rb"\intbl outer\par\itap2 a\nestcell b\nestcell"
        rb"{\*\nesttableprops\trowd\nestrow}{\nonesttables\par}"
        rb"c\nestcell d\nestcell{\*\nesttableprops\trowd\nestrow}{\nonesttables\par}"
        rb"\itap1 after\cell right\cell\row\pard "
        rb"{\mmath{\*\moMath{\mr x=}{\mf{\mfPr{\mctrlPr y}}{\mnum{\mr a+b}}{\mden{\mr c}}}"
        rb"{\mnary{\mnaryPr{\mchr \u8721?}{\mlimLoc u}}{\msub{\mr i}}{\msup{\mr n}}"
        rb"{\me{\msSup{\me{\f1\mr w}}{\msup{\mr 2}}}}}}}\par "
        rb"{\field{\*\fldinst SET t monthly}{\fldrslt monthly}}"
        rb"{\field{\*\fldinst REF t}{\fldrslt monthly}} "
        rb'{\field{\*\fldinst EQ \\* jc3 \\* "Font:MS Mincho" \\o\\al(\\s\\up 10(kan),z)}'
        rb"{\fldrslt}}\par}"
    )
    texts, notes = read(tmp_path / "a.rtf", source)
    assert texts == [
        "one[i] two[1] three[ii]\n\n[1] Foot.\n\nouter\na\tb\nc\td\nafter\tright\n\n"
        "x=(a+b)/c∑_i^n w^2\n\nmonthly z\n\n[i] Last.\n\n[ii] Very last."
    ]
    assert notes == []


def test_mail(tmp_path: Path) -> None:
    texts, notes = read(tmp_path / "a.eml", mail("Größe"))
    assert (texts, notes) == (["Grüße\n\nGröße"], ["1 attachments left out: a.pdf"])
    flowed = (
        b"Subject: S\nContent-Type: text/plain; format=flowed\n\nOne line that \ngoes on.\n"
        b"> said \n> so\n\n"
        b"-----BEGIN PGP SIGNATURE-----\n\niQEzBAEBCAAd\n-----END PGP SIGNATURE-----\n"
    )
    assert read(tmp_path / "b.eml", flowed)[0] == ["S\n\nOne line that goes on.\n> said so"]
    both = (
        b"Subject: S\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n\n--b\n"
        b"Content-Type: text/html; charset=unknown-1\n\n<p>f\xfcr</p>\n--b--\n"
    )
    assert read(tmp_path / "c.eml", both)[0] == ["S\n\nfür"]
    box = b"From a Thu Jan  1 00:00:00 2026\nSubject: S\n\n>From here\n\nFrom there\n"
    assert read(tmp_path / "d.mbox", box)[0] == ["S\n\nFrom here\n\nFrom there"]
    secret = b"Subject: S\nContent-Type: application/pkcs7-mime\n\nMIAGCSqGSIb3\n"
    assert read(tmp_path / "e.eml", secret) == (["S"], ["an encrypted part was left out"])
    with pytest.raises(Unreadable, match="has no header"):
        read(tmp_path / "f.eml", b"\njust text\n")


def test_subtitles(tmp_path: Path) -> None:
    rolling = (
        "WEBVTT\nKind: captions\n\nNOTE remark\n\nSTYLE\n::cue {}\n\nid\n"
        "00:01.000 --> 00:02.000 line:0\n"
        "<v Bob>so <00:01.500><c>this</c>\n\n00:02.000 --> 00:03.000\nso this\ngoes &amp; on\n"
    )
    assert read(tmp_path / "a.vtt", rolling.encode())[0] == ["so this\ngoes & on\n"]
    plain = (
        "1\r\n00:00:01,000 --> 00:00:02,000\r\n{\\an8}<i>Two</i>\r\nlines < three\r\n\r\nmore\r\n"
    )
    assert read(tmp_path / "a.srt", plain.encode("cp1252"))[0] == ["Two lines < three\nmore\n"]
