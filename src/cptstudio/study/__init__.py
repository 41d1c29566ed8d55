"""A corpus made from a corpus: its documents in many more wordings, each with where it came from.

study/NAME/               of a workspace
    study.json            what was asked for; replaced when it is asked for otherwise
    made.jsonl            append-only: every text that was written, by the hash of its inputs
    texts.jsonl           the texts that passed the checks: the corpus NAME is built from them
    report.json           what was kept and dropped, and why
"""
