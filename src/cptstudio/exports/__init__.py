"""Models out: fused, quantized and converted, each loaded back and compared with its checkpoint.

    exports/NAME/             the model's files, as the program that it is for takes them
    exports/NAME/export.json  what it was made from, how, and what the comparison found

Whatever makes an export works in the same order: the checkpoint's `Reference` (its greedy texts,
and its log-probabilities on held-out text) is made once and kept; the files are written to a
staging folder; the program that the export is for answers the same questions (`Answers`); what
`compare` finds is kept in export.json; and only then the folder gets its name.
"""
