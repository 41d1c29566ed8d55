"""Recognizes the text of pictures: `python -m cptstudio.corpus.ocr_program`.

One request a line on standard input until the input ends; it begins with {"ready": true}:

    {"engine": "tesseract"|"vision", "program": PATH, "languages": [NAME, ...],
     "picture": PGM, compressed by zlib, in base64}
    -> {"result": {"lines": [{"words": [[text, left, top, right, bottom, confidence], ...],
        "base": ..., "size": ..., "slope": ..., "turned": ...}, ...], "turn": DEGREES}}

The near side is `ocr.Recognizer`. Pictures come and go through pipes: no file is left of them.
"""

from __future__ import annotations

import base64
import os
import re
import statistics
import subprocess
import sys
import zlib
from collections import Counter
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from cptstudio import job_programs, macos
from cptstudio.child_process import crash_sentence
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer

DPI = 300
_SURE = 60.0
"""Of 100: below it, a page may lie on its side."""
_LINES = ("ocr_line", "ocr_header", "ocr_caption", "ocr_textfloat")
_NUMBERS = re.compile(r"([a-z_]+)((?: -?\d+(?:\.\d+)?)+)")
_ROTATE = re.compile(r"^Rotate: (90|180|270)$.*^Orientation confidence: ([\d.]+)$", re.M | re.S)
_SURE_OF_TURN = 2.0


def read(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Answer one request."""
    picture = zlib.decompress(base64.b64decode(request["picture"]))
    languages = request["languages"]
    if request["engine"] == "vision":
        return {"lines": by_vision(picture, languages), "turn": 0}
    program = request["program"]
    lines = _by_tesseract(program, picture, languages)
    # Lines that run up or down may be read, and still be in no order.
    turn = _usual_turn(lines)
    if not turn and _confidence(lines) >= _SURE:
        return {"lines": lines, "turn": 0}
    turn = turn or _turn(program, picture)
    if turn:
        again = _by_tesseract(program, turned(picture, turn), languages)
        if _confidence(again) > min(_confidence(lines), _SURE):
            return {"lines": again, "turn": turn}
    return {"lines": lines, "turn": 0}


def _confidence(lines: list[dict[str, Any]]) -> float:
    sure = [word[5] for line in lines for word in line["words"]]
    return statistics.fmean(sure) if sure else 0.0


def _usual_turn(lines: list[dict[str, Any]]) -> int:
    """By how many degrees most words have to be turned clockwise to stand upright."""
    votes: Counter[int] = Counter()
    for line in lines:
        votes[line["turned"]] += len(line["words"])
    return votes.most_common(1)[0][0] if votes else 0


def _by_tesseract(program: str, picture: bytes, languages: list[str]) -> list[dict[str, Any]]:
    output = _run(
        program, picture, "-l", "+".join(languages), "--psm", "3", "-c", "tessedit_create_hocr=1"
    )
    return lines_of_hocr(output)


def _turn(program: str, picture: bytes) -> int:
    """By how many degrees a page has to be turned clockwise, 0 where that is not known."""
    try:
        found = _ROTATE.search(_run(program, picture, "--psm", "0").decode("utf-8", "replace"))
    except UserError:
        # Too few letters, or the data for it are not installed.
        return 0
    return int(found[1]) if found and float(found[2]) >= _SURE_OF_TURN else 0


def _run(program: str, picture: bytes, *options: str) -> bytes:
    done = subprocess.run(
        [program, "stdin", "stdout", "--dpi", str(DPI), *options],
        input=picture,
        capture_output=True,
        # There is a reader a core already.
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        check=False,
    )
    if done.returncode < 0:
        raise UserError(f"tesseract: {crash_sentence(-done.returncode)}")
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise UserError(f"tesseract failed: {' '.join(told[-1].split())}")
    return done.stdout


def lines_of_hocr(data: bytes) -> list[dict[str, Any]]:
    """Return the lines of a page in hOCR 1.2."""
    if not data.strip():
        return []
    tree = etree.fromstring(data, etree.XMLParser(recover=True, no_network=True, huge_tree=True))
    found = []
    for line in () if tree is None else tree.iter("{*}span"):
        if line.get("class") not in _LINES:
            continue
        words: list[list[Any]] = []
        for word in line.iter("{*}span"):
            text = " ".join("".join(word.itertext()).split())
            if word.get("class") != "ocrx_word" or not text:
                continue
            facts = _facts(word)
            words.append([text, *facts["bbox"], facts.get("x_wconf", [0.0])[0]])
        if not words:
            continue
        facts = _facts(line)
        left, top, right, bottom = facts["bbox"]
        size = facts.get("x_size", [bottom - top])[0]
        slope, offset = facts.get("baseline", [0.0, -0.2 * size])
        turn = 0
        if bottom - top > 2 * (right - left) and len(words) > 1:
            # Its words tell whether it runs up.
            turn = 90 if words[0][2] > words[-1][2] else 270
            slope, offset = 0.0, 0.0
        found.append(
            {
                "words": words,
                "base": bottom + offset + slope * (right - left) / 2,
                "size": size,
                "slope": slope,
                "turned": turn,
            }
        )
    return found


def _facts(element: Any) -> dict[str, list[float]]:
    """The properties in an element's title that are numbers."""
    return {
        name: [float(number) for number in numbers.split()]
        for name, numbers in _NUMBERS.findall(element.get("title", ""))
    }


def by_vision(picture: bytes, languages: list[str]) -> list[dict[str, Any]]:
    """The lines of a page by macOS's Vision, whose boxes are of lines: words get their share."""
    (width, height), found = macos.recognized_by_vision(picture, languages)
    lines = []
    for text, confidence, (x, y, w, h) in found:
        if not text.strip():
            continue
        each = w * width / len(text)
        top, bottom = (1 - y - h) * height, (1 - y) * height
        lines.append(
            {
                "words": [
                    [
                        word[0],
                        x * width + each * word.start(),
                        top,
                        x * width + each * word.end(),
                        bottom,
                        100.0 * confidence,
                    ]
                    for word in re.finditer(r"\S+", text)
                ],
                "base": bottom - 0.2 * (bottom - top),
                "size": bottom - top,
                "slope": 0.0,
                "turned": 90 if h * height > 2 * w * width and len(text) > 2 else 0,
            }
        )
    return lines


def turned(picture: bytes, degrees: int) -> bytes:
    """Return a picture in PGM, turned clockwise by a multiple of 90 degrees."""
    import numpy as np

    head, _, pixels = picture.partition(b"\n")
    width, height = map(int, head.split()[1:3])
    array = np.frombuffer(pixels, np.uint8).reshape(height, width)
    array = np.ascontiguousarray(np.rot90(array, -degrees // 90))
    return b"P5 %d %d 255\n" % (array.shape[1], array.shape[0]) + array.tobytes()


if __name__ == "__main__":
    sys.exit(job_programs.answer_requests(read, lambda: None))
