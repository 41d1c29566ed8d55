"""Pages of a PDF as a scanner leaves them: pictures in a PDF."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped]


def scanned(source: Path, pages: int, *, first: int = 0, turn: int = 0, dpi: int = 150) -> bytes:
    """Return some pages of a PDF as pictures in a PDF, as a scanner leaves them.

    Args:
        source: the PDF.
        pages: how many.
        first: of them, from 0.
        turn: by so many degrees clockwise.
        dpi: pixels an inch.
    """
    objects: list[bytes] = []
    kids = []
    with pypdfium2.PdfDocument(source) as document:
        for number in range(first, first + pages):
            page = document[number]
            bitmap = page.render(scale=dpi / 72, grayscale=True, rotation=turn)
            width, height, stride = bitmap.width, bitmap.height, bitmap.stride
            rows = bytes(bitmap.buffer)
            data = zlib.compress(
                b"".join(rows[row * stride : row * stride + width] for row in range(height))
            )
            size = (width * 72 / dpi, height * 72 / dpi)
            place = 3 + len(objects)
            kids.append(b"%d 0 R" % place)
            drawn = b"q %f 0 0 %f 0 0 cm /I Do Q" % size
            objects += [
                b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %f %f]/Contents %d 0 R"
                b"/Resources<</XObject<</I %d 0 R>>>>>>" % (*size, place + 1, place + 2),
                b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn),
                b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray"
                b"/BitsPerComponent 8/Filter/FlateDecode/Length %d>>stream\n%s\nendstream"
                % (width, height, len(data), data),
            ]
    head = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b" ".join(kids)),
    ]
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, one in enumerate([*head, *objects], 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, one))
    table, count = out.tell(), len(places) + 1
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % count)
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (count, table))
    return out.getvalue()
