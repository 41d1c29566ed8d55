"""Turns files into the texts of documents, one reader a kind of file.

`items.py` opens what lies on the disk or inside an archive; `decoding.py` finds out how bytes
spell text; other modules know a format each, with `ooxml.py`, `xml_tree.py`, `xhtml.py`,
`equations.py` and `symbol_fonts.py` below several of them; `dispatch.py`
holds the table of them and chooses by the file's name. A reader that cannot go on raises
`Unreadable`, and the build reports the file by name with the reason and goes on with the next.
"""
