"""LibreOffice as a second reader: what it makes of files, as text and as flat OpenDocument.

`soffice` is Debian's libreoffice-writer-nogui and libreoffice-impress-nogui, or LibreOffice on
macOS. A macro in a profile of its own opens one file after the other, accepts tracked changes,
takes out hidden characters, and stores it anew. Where a file ends the program, it is started again
with the file after it.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

_T = TypeVar("_T")
PROGRAM = "soffice"
_AT_ONCE = 50
_SECONDS = 60
"""How long one file may take."""

WRITES = {
    ".txt": ("Text (encoded)", "UTF8,LF,,,"),
    ".fodt": ("OpenDocument Text Flat XML", ""),
    ".fodp": ("OpenDocument Presentation Flat XML", ""),
}
"""The names of its filters, and their options, by suffix."""
_COMMENT = re.compile(rb"<office:annotation[ >].*?</office:annotation>", re.DOTALL)
SLIDES = (".pptx", ".odp", ".fodp")

_MACRO = """
Sub Work(list As String)
    Dim number As Integer, line As String
    number = FreeFile
    Open list For Input As #number
    While Not Eof(number)
        Line Input #number, line
        If line <> "" Then One(Split(line, Chr(9)))
    Wend
    Close #number
End Sub

Function Named(name As String, value As Variant) As Object
    Dim made As New com.sun.star.beans.PropertyValue
    made.Name = name
    made.Value = value
    Named = made
End Function

Sub One(given As Variant)
    Dim document As Object, at As Integer
    On Error Goto Failed
    document = StarDesktop.loadComponentFromURL(given(0), "_blank", 0, _
        Array(Named("Hidden", True)))
    Seen(document)
    For at = 1 To UBound(given) - 2 Step 3
        document.storeToURL(given(at), _
            Array(Named("FilterName", given(at + 1)), Named("FilterOptions", given(at + 2))))
    Next at
    document.close(True)
Failed:
End Sub

Sub Seen(document As Object)
    Dim dispatcher As Object
    On Error Goto Failed
    If Not document.supportsService("com.sun.star.text.GenericTextDocument") Then Exit Sub
    dispatcher = createUnoService("com.sun.star.frame.DispatchHelper")
    dispatcher.executeDispatch(document.CurrentController.Frame, _
        ".uno:AcceptAllTrackedChanges", "", 0, Array())
    document.RecordChanges = False
    Unhidden(document.Text)
Failed:
End Sub

Sub Unhidden(text As Object)
    Dim blocks As Object, block As Object, portions As Object, portion As Object
    Dim names As Variant, at As Integer
    blocks = text.createEnumeration()
    While blocks.hasMoreElements()
        block = blocks.nextElement()
        If block.supportsService("com.sun.star.text.TextTable") Then
            names = block.getCellNames()
            For at = 0 To UBound(names)
                Unhidden(block.getCellByName(names(at)))
            Next at
        ElseIf block.supportsService("com.sun.star.text.Paragraph") Then
            portions = block.createEnumeration()
            While portions.hasMoreElements()
                portion = portions.nextElement()
                If portion.TextPortionType = "Text" Then
                    If portion.CharHidden Then portion.String = ""
                End If
            Wend
        End If
    Wend
End Sub
"""
_MODULE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE script:module PUBLIC '
    '"-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">\n'
    '<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Module1" '
    f'script:language="StarBasic">{escape(_MACRO)}</script:module>'
)


@dataclass
class Task:
    """A file to open, and what to store it as; the suffix of each output says as what."""

    file: Path
    outputs: Sequence[Path]

    def line(self) -> str:
        """As the macro reads it."""
        parts = [self.file.as_uri()]
        for out in self.outputs:
            parts += [out.as_uri(), *WRITES[out.suffix]]
        return "\t".join(parts)

    def is_done(self) -> bool:
        """Whether all is there."""
        return all(out.exists() for out in self.outputs)


def read_again(files: Mapping[Path, Sequence[Path]]) -> None:
    """Store what a reader sees of each file as others; what it cannot read gives none.

    It first writes flat OpenDocument, of which comments are taken out: without a window, it
    crashes over them as soon as it does more with a file than to store it anew.
    """
    with tempfile.TemporaryDirectory() as temporary:
        inside, flat, bare = (Path(temporary) / name for name in ("in", "flat", "bare"))
        for folder in (inside, flat, bare):
            folder.mkdir()
        copies = {}
        for number, file in enumerate(files):
            copies[file] = inside / f"{number:05}{file.suffix.lower()}"
            copies[file].write_bytes(file.read_bytes())
        for suffix, filters, kinds in (
            (".fodp", "", SLIDES),
            (".fodt", "HTML (StarWriter)", (".html",)),
            (".fodt", "", None),
        ):
            chosen = [
                copy
                for copy in copies.values()
                if (copy.suffix in kinds if kinds else copy.suffix not in (*SLIDES, ".html"))
            ]
            converted(chosen, suffix, flat, filters)
        tasks = []
        for file, outputs in files.items():
            made = next(flat.glob(copies[file].stem + ".*"), None)
            if made is not None and made.suffix == ".fodt":
                (bare / made.name).write_bytes(_COMMENT.sub(b"", made.read_bytes()))
                tasks.append(Task(bare / made.name, outputs))
            elif made is not None:
                outputs[0].write_bytes(made.read_bytes())
        _in_turn(tasks, _work, Task.is_done)


def _in_turn(
    todo: Sequence[_T], work: Callable[[Sequence[_T]], None], done: Callable[[_T], bool]
) -> None:
    """Work on some at a time; what ends the program costs that one only, also without a word."""
    while todo:
        some = todo[:_AT_ONCE]
        work(some)
        last = max((at for at, one in enumerate(some) if done(one)), default=-1)
        todo = todo[min(last + 2, len(some)) :]


def _work(tasks: Sequence[Task]) -> None:
    with tempfile.TemporaryDirectory() as home:
        command = _command(home)
        # A start makes the profile, in which the only module of macros is replaced.
        _run([*command, "--terminate_after_init"], 1)
        (Path(home) / "user/basic/Standard/Module1.xba").write_text(_MODULE, "utf-8")
        todo = Path(home) / "list"
        todo.write_text("".join(task.line() + "\n" for task in tasks), "utf-8")
        _run([*command, f'macro:///Standard.Module1.Work("{todo}")'], len(tasks))


def _run(command: Sequence[str], files: int) -> None:
    try:
        subprocess.run(command, capture_output=True, timeout=_SECONDS + 5 * files)
    except subprocess.TimeoutExpired:
        print(f"{command[-1]}: LibreOffice took too long and was ended")


def converted(files: Sequence[Path], suffix: str, folder: Path, filters: str = "") -> None:
    """Have LibreOffice write files as another format, such as ".docx"; a crash costs one file.

    Args:
        files: paths whose names differ without their suffix.
        suffix: of what is written.
        folder: where to.
        filters: the name of the filter that reads them, where it is not to be found out.
    """

    def work(some: Sequence[Path]) -> None:
        with tempfile.TemporaryDirectory() as home:
            command = [*_command(home), *([f"--infilter={filters}"] if filters else [])]
            command += ["--convert-to", suffix[1:], "--outdir", str(folder), *map(str, some)]
            _run(command, len(some))

    _in_turn(files, work, lambda file: (folder / f"{file.stem}{suffix}").exists())


def _command(home: str) -> list[str]:
    profile = f"-env:UserInstallation={Path(home).as_uri()}"
    return [PROGRAM, profile, "--headless", "--norestore", "--nologo"]
